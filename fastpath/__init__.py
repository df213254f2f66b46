"""TLS without HTTP: the record layer, the engines, and the crypto worker.

    client's socket ── Channel ── Engine ── plaintext ── Sink (kssl.proxy.frontend)
                                    │
              kernel mode: RecordLayer in this process, with keys from the worker
              user mode:   RecordLayer in the worker, frames over the socketpair

The vocabulary:

    record         what TLS puts on the wire (RFC 9846 §5.1)
    seal, open     encrypt and decrypt records
    flight         handshake bytes that go out together
    engine         one way to turn records into plaintext and back, after the handshake
    kernel mode    the front end has the traffic keys (as ksecdd.sys beside http.sys)
    user mode      the worker keeps them, and every record makes the round trip (as with LSASS)
    worker         the process that alone has private keys
    filter         a process that relays between front end and worker (UserModeHops=2)
    link           the front end's end of the socketpair to a worker, or to its filter
    frame          one message on the link
    clean close    the peer sent close_notify before FIN

    logs/          logs that cannot stop the process that writes them
    net/           sockets, without TLS
    tls/           alerts, suites, keys and hellos
    record/        sealing and opening, sans-I/O
    ipc/           processes, their supervisor, and the frames between them
    engines/       the contract, the engines, and the handshake before them
    worker/        the worker's process
    filter/        the filter's process
    verifier/      the process that judges clients' certificates
"""
