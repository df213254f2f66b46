"""Engines: `contract` says what one promises, `registry` finds and chooses them, `handshake`
carries the bytes between peer and worker until one takes over."""
