"""Reading kssl.toml."""
# STAND-IN
