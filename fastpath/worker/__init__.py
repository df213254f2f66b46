"""The crypto worker: the process that plays LSASS's part.

It alone reads private keys and does handshakes; in user mode it also opens and seals every record.

    process.py     the worker's own loop: frames in, frames out
    connections.py what one connection is inside the worker
    handshake.py   one TLS handshake by OpenSSL, bytes in and flights out: what both roles share
    server_handshake.py, client_handshake.py   the roles: towards clients, towards upstreams
    store.py       what is served where: endpoints, SNI, reload
    upstreams.py   contexts for https:// upstreams: CAs, our certificate
    verification.py  whether an upstream is who it should be, and why not
    certificates.py  private keys and certificates, loaded and kept
    development.py leaves of the development CA
    contexts.py    how an OpenSSL context is set up
"""
