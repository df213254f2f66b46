"""The TLS record layer for the time after the handshake, TLS 1.3 and 1.2; sans I/O.

    bytes from the peer ──► Opener ──► application data ──► the caller
                              │ anything else
                              ▼
                         RecordLayer: alerts, KeyUpdate (PostHandshake)
                              │ replies
                              ▼
    bytes to the peer  ◄── Sealer  ◄── application data ◄── the caller

record      a 5-byte header and its protected body
to open     check the header, decrypt, verify, find the content type
to seal     the reverse
direction   the AEAD, IV and sequence number of what one side sends
inner type  TLS 1.3 puts the content type behind the content, before encryption (RFC 9846 §5.2)
spent       said of a key which sealed as many records as its AEAD allows

`wire.py` has every constant and limit, `layer.py` the table of what each record does.
"""

from kssl.fastpath.record.layer import RecordLayer

__all__ = ["RecordLayer"]
