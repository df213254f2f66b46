"""The front end: what http.sys is on Windows. It owns the sockets.

    client ─► listener ─► ClientConnection ─► Handshake ⇄ crypto worker
                                │ keys (kernel mode)
                                ▼
                             Engine ⇄ HttpConnection ─► Exchange ─► UpstreamConnection ─► app
                           (fastpath)      one            one            pooled
                                        connection      request

The vocabulary:

    client        who connects to us by TLS
    upstream      the app behind us, and our connections to it
    head          start line and fields of a message, up to and with the empty line
    framing       how the end of a body is known: a length, chunks, the close (RFC 9112 §6)
    exchange      one request and its response
    tunnel        what a connection is after 101 Switching Protocols
    codec         reads heads and bodies; `httptools` for speed, `h11` as the reference
    plaintext     what the engine gives and takes; HTTP lives in it

    cli/          the command `kssl`, one module a subcommand
    frontend/     connections, from accept to close
    upstream/     connections to the app
    journal/      the access log and the HTTPERR log
    service/      a running service: put together, started, restarted
    http/         HTTP/1.1 without I/O: grammar, rules, framing, forwarding
    demo/         the built-in app and the demonstrations
    trace/        one request's way, watched from outside
"""
