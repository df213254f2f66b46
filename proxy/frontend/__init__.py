"""Connections from accept to close; see `kssl.proxy` for the picture. `kssl.proxy.service` puts it
together."""
