"""Every parameter: its default, its bounds, and what it does to a running proxy."""
