"""Sockets, without TLS: read, written and closed in turns of an epoll of our own.

channel.py     one non-blocking socket
poller.py      the epoll, and turns: who is ready, then who goes on
quantum.py     how much of what a peer sent is dealt with in one go
closing.py     how a connection is closed without losing what was sent
keepalive.py   TCP keep-alive
"""
