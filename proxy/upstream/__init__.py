"""Connections to the app: opened, used by one exchange at a time, kept for the next."""
