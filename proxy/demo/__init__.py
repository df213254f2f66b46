"""The built-in demo: the application behind the proxy, and what ``kssl demo`` shows with it."""
