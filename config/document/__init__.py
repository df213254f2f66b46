"""kssl.toml: reading, positions of its keys, and editing."""
