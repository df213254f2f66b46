"""Gigabytes, thousands of connections, real clients: ``make acceptance``."""
