"""Connections from accept to close; see `proxy` for the picture. `service` puts it together."""
