"""Engines: `contract` says what one promises, `registry` finds and chooses them."""
