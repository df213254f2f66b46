"""`kssl demo truncation`: a truncation attack with real clients, and what stops it."""
