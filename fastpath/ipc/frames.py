"""The messages between the front end and the crypto worker, over one socketpair. Sans-I/O.

A frame is a 9-byte header and a payload::

    u32 payload length | u32 connection | u8 type | payload

Frames are batched: each side appends many to one buffer and writes it once. Connection 0 is the
worker itself. Only these frames ever carry key material, and they never leave the socketpair.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Sequence

HEADER = struct.Struct("<IIB")
HEADER_SIZE = HEADER.size

# The largest payload: one batch of plaintext or records. Bounds the memory of both sides:
# their buffers hold a few of these, whatever the number of connections.
MAX_PAYLOAD = 256 * 1024


class FrameType(enum.IntEnum):
    """The types of frames: who sends each (F: front end, W: worker), and its payload."""

    # These five may be longer than one frame; each has a byte first, see `pieces`.
    CONFIGURE = 1  # F: JSON, see `WorkerSettings`; before anything else, once
    READY = 2  # W: JSON, what was loaded
    REFUSED = 3  # W: UTF-8, what is wrong with the configuration, one line for each problem
    RECONFIGURE = 4  # F: as CONFIGURE. REFUSED: everything stays as it was
    RESTORE = 7  # F: CONFIGURE of one that replaces another: what cannot be read is left out

    COUNT = 5  # F: nothing; on connection 0
    COUNTS = 6  # W: JSON, see `Supervisor.count`; exactly one for each COUNT

    BEGIN = 10  # F: see `pack_begin`, then the client's first bytes
    HANDSHAKE = 11  # F: more of the peer's bytes. W: a flight to send; wants more
    ESTABLISHED = 12  # W: see `pack_established`
    FAILED = 13  # W: see `pack_failed`
    CONNECT = 14  # F: see `pack_connect`; instead of BEGIN, towards an upstream

    OPEN = 20  # F: the client's records (user mode)
    OPENED = 21  # W: plaintext, possibly none; exactly one for each OPEN
    OPENED_PART = 29  # W: plaintext of an OPEN of which more is still to be opened
    SEAL = 22  # F: plaintext
    SEALED = 23  # W: records to send; exactly one for each SEAL
    EMIT = 24  # W: records to send that nobody asked for (alert, KeyUpdate)
    PEER_CLOSED = 25  # W: the client sent close_notify
    BROKEN = 26  # W: see `pack_broken`; our alert, if any, came by EMIT
    FINISH = 27  # F: u8, what to seal last: an alert's number (0: close_notify) or NO_ALERT
    FINISHED = 28  # W: the last records to send, possibly none; exactly one for each FINISH

    END = 30  # F: u8, forget the connection; and its session: DROP or KEEP

    # Between front end and verifier (`kssl.fastpath.verifier.messages`); with CONFIGURE to REFUSED
    # and END they are all that is said there.
    JUDGE = 40  # F: see `pack_judge`
    VERDICT = 41  # verifier: see `pack_verdict`; exactly one for each JUDGE that no END has ended


NO_ALERT = 255

DROP, KEEP = 0, 1

Frame = tuple[int, int, int, int]  # type, connection, start and end of the payload


def append(out: bytearray, kind: FrameType, connection: int, payload: bytes | memoryview) -> None:
    """Append one frame to a batch."""
    out += HEADER.pack(len(payload), connection, kind)
    out += payload


def parse(buffer: memoryview | bytearray, end: int) -> Iterator[Frame]:
    """Yield the complete frames in ``buffer[:end]``; the caller keeps what is behind the last.

    Raise ValueError for a length that no honest sender uses.
    """
    position = 0
    while end - position >= HEADER_SIZE:
        length, connection, kind = HEADER.unpack_from(buffer, position)
        if length > MAX_PAYLOAD + 4096:
            raise ValueError(f"frame of {length} bytes, more than {MAX_PAYLOAD}")
        start = position + HEADER_SIZE
        if start + length > end:
            return
        position = start + length
        yield kind, connection, start, position


_MORE, _LAST = 1, 0


def pieces(payload: bytes) -> Iterator[bytes]:
    """Yield ``payload`` in parts, one a frame, each behind u8 (1: more follow, 0: the last)."""
    size = MAX_PAYLOAD - 1
    for start in range(0, max(len(payload), 1), size):
        last = start + size >= len(payload)
        yield bytes((_LAST if last else _MORE,)) + payload[start : start + size]


class Joined:
    """A payload that comes in `pieces`, put together again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, piece: bytes | memoryview) -> bytes | None:
        """Return the whole payload with its last piece; before that, None."""
        self._parts.append(bytes(piece[1:]))
        if piece[0] == _MORE:
            return None
        parts, self._parts = self._parts, []
        return b"".join(parts)


BEGIN = struct.Struct("<BH")


def pack_begin(kernel_mode: bool, endpoint: int) -> bytes:
    """Pack u8 mode (0 user, 1 kernel) and u16 index among the settings' ``endpoints``."""
    return BEGIN.pack(kernel_mode, endpoint)


def pack_connect(kernel_mode: bool, upstream: str) -> bytes:
    """Pack u8 mode (0 user, 1 kernel) and which of the settings' ``upstreams``.

    ``upstream`` is its JSON, as `kssl.config.target.UpstreamTls.to_json` gives it.
    """
    return bytes((kernel_mode,)) + upstream.encode()


def pack_failed(alert: bytes, reason: str) -> bytes:
    """Pack u16 length and ``alert``, bytes to send, possibly none; then ``reason`` in UTF-8."""
    return len(alert).to_bytes(2, "little") + alert + reason.encode()


def pack_broken(peers: bool, reason: str) -> bytes:
    """Pack why the records ended: u8 (1: by the peer's own alert), then ``reason`` in UTF-8."""
    return bytes((peers,)) + reason.encode()


def unpack_broken(payload: memoryview) -> tuple[bool, str]:
    """Return what `pack_broken` was given."""
    return bool(payload[0]), bytes(payload[1:]).decode()


_SIZE = struct.Struct("<I")


def pack_certificates(certificates: Sequence[bytes]) -> bytes:
    """Pack each behind its length in u32."""
    return b"".join(_SIZE.pack(len(each)) + each for each in certificates)


def unpack_certificates(payload: bytes | memoryview) -> tuple[bytes, ...]:
    """Return what `pack_certificates` was given."""
    found, at = [], 0
    while at < len(payload):
        (size,) = _SIZE.unpack_from(payload, at)
        at += _SIZE.size
        found.append(bytes(payload[at : at + size]))
        at += size
    return tuple(found)


_ESTABLISHED = struct.Struct("<IIIBI")


def pack_established(
    flight: bytes,
    keys: bytes,
    info: bytes,
    leftover: bytes,
    session_id: bytes = b"",
    certificates: bytes = b"",
) -> bytes:
    """Pack the result of a handshake.

    ``flight`` is to be sent first. ``keys`` are packed `ConnectionKeys` in kernel mode, else b"".
    ``info`` is JSON. ``leftover`` are the peer's bytes behind its Finished, still to be opened.
    ``session_id`` is what the client may resume by, 32 bytes at most, or b"". ``certificates`` are
    what the client has presented, its own first, by `pack_certificates`.
    """
    head = _ESTABLISHED.pack(len(flight), len(keys), len(info), len(session_id), len(certificates))
    return b"".join((head, flight, keys, info, session_id, certificates, leftover))


def unpack_established(payload: memoryview) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    """Return what `pack_established` was given, in the same order."""
    parts, start = [], _ESTABLISHED.size
    for size in _ESTABLISHED.unpack_from(payload):
        parts.append(bytes(payload[start : start + size]))
        start += size
    flight, keys, info, session_id, certificates = parts
    return flight, keys, info, bytes(payload[start:]), session_id, certificates
