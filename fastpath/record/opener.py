"""`Opener`: the reading direction. It owns the AEAD, the IV and the sequence number.

The loops below run once per record: that is why they hold everything in locals, slice and
never copy, and make no object per record. Records open back to back: in TLS 1.3 the next record's
plaintext overwrites the inner content type of the one before.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod

from cryptography.exceptions import InvalidTag

from kssl.fastpath.net.quantum import RECORDS
from kssl.fastpath.record.wire import (
    EXPANSION_TLS13,
    HEADER_LENGTH,
    MAX_EMPTY_RECORDS,
    MAX_FRAGMENT,
    TAG_LENGTH,
    VERSION,
    ContentType,
)
from kssl.fastpath.tls.errors import Alert, PeerMisbehaved, TlsError
from kssl.fastpath.tls.keys import MAX_SEQUENCE, DirectionKeys
from kssl.fastpath.tls.keyschedule import next_traffic_secret, traffic_keys
from kssl.fastpath.tls.suites import CipherSuite

NO_DATA = -1
"""A `data_type` that no byte equals. Not 0, which is how a padded record ends."""


class Opener(ABC):
    """One reading direction.

    `position`: bytes of `data` used so far. `written`: bytes of application data in `out` so far.
    The caller resets both before a new buffer. `content`: what the last protocol record held.
    `data_type`: APPLICATION_DATA, or NO_DATA while application data is out of place.
    `data_opened`: bytes of application data since the beginning. `quantum`: how many records are
    still opened before the caller sets it anew; at 0 or less none is (`kssl.fastpath.net.quantum`).
    `longest`: bytes that may follow a header.
    """

    __slots__ = (
        "_decrypt",
        "_empty_records",
        "_iv",
        "_keys",
        "_records_before",
        "_sequence",
        "content",
        "data_opened",
        "data_type",
        "longest",
        "position",
        "quantum",
        "suite",
        "written",
    )

    def __init__(self, suite: CipherSuite, keys: DirectionKeys, longest: int) -> None:
        self.suite = suite
        self.longest = longest
        self.position = 0
        self.written = 0
        self.content = b""
        self.data_type: int = ContentType.APPLICATION_DATA
        self.data_opened = 0
        self.quantum = RECORDS
        self._empty_records = 0
        self._records_before = -keys.sequence
        self._use(keys)

    def _use(self, keys: DirectionKeys) -> None:
        self._keys = keys
        self._decrypt = self.suite.aead(keys.key).decrypt_into
        self._iv = int.from_bytes(keys.iv, "big")
        self._sequence = keys.sequence

    @property
    def records(self) -> int:
        """Records opened since this object was made, over all keys."""
        return self._records_before + self._sequence

    @property
    def keys(self) -> DirectionKeys:
        """What opens the next record."""
        return self._keys.at(self._sequence)

    def update(self) -> None:
        """Go on with the next key, after the peer's KeyUpdate (RFC 9846 §7.2)."""
        self._records_before += self._sequence
        secret = next_traffic_secret(self.suite, self._keys.secret)
        self._use(traffic_keys(self.suite, secret))

    @abstractmethod
    def open_records(self, data: memoryview, out: memoryview) -> int | None:
        """Open from `position` on, append application data to `out` at `written`.

        Stops at the first record that is not application data: returns its content type and leaves
        the content in `content`. Returns None when the rest is no complete record, or `quantum` is
        used up. Raises TlsError for a bad record. `position` and `written` are true in each case;
        bytes of `out` behind `written` are scratch.
        """

    def _save(self, position: int, written: int, sequence: int) -> None:
        self.data_opened += written - self.written
        self.position = position
        self.written = written
        self._sequence = sequence

    def _count_empty(self) -> None:
        self._empty_records += 1
        if self._empty_records > MAX_EMPTY_RECORDS:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "too many empty records")


class Tls13Opener(Opener):
    """RFC 9846 §5.2.

    A smaller limit on fragments is one on the whole TLSInnerPlaintext (§5.4). Whether it counts the
    content type is read in two ways; here a peer may leave it out, as of 2^14, and our own records
    count it.
    """

    __slots__ = ()

    def __init__(self, suite: CipherSuite, keys: DirectionKeys, max_fragment: int) -> None:
        super().__init__(suite, keys, max_fragment + EXPANSION_TLS13)

    def open_records(self, data: memoryview, out: memoryview) -> int | None:
        end = len(data)
        position, written, sequence = self.position, self.written, self._sequence
        if sequence > MAX_SEQUENCE - end:
            raise _used_up()
        decrypt, iv, data_type = self._decrypt, self._iv, self.data_type
        longest, stop = self.longest, sequence + self.quantum
        try:
            while end - position >= 5 and sequence < stop:
                length = data[position + 3] << 8 | data[position + 4]
                if data[position] != 23 or not 16 <= length <= longest:
                    raise _bad_header_tls13(data[position], length, longest)
                body = position + 5
                following = body + length
                if following > end:
                    break
                inner_end = written + length - 16
                decrypt(
                    (iv ^ sequence).to_bytes(12, "big"),
                    data[body:following],
                    data[position:body],
                    out[written:inner_end],
                )
                sequence += 1
                position = following
                if length > 17 and out[inner_end - 1] == data_type:
                    written = inner_end - 1
                    self._empty_records = 0
                    continue

                inner = bytes(out[written:inner_end]).rstrip(b"\0")
                if not inner:
                    raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "a record of padding alone")
                content_type = inner[-1]
                if content_type != data_type:
                    self.content = inner[:-1]
                    return content_type
                if len(inner) == 1:
                    self._count_empty()
                else:
                    written += len(inner) - 1
                    self._empty_records = 0
            return None
        except InvalidTag:
            raise _bad_record_mac() from None
        finally:
            self.quantum = stop - sequence
            self._save(position, written, sequence)


class Tls12Opener(Opener):
    """RFC 5246 §6.2.3.3 (AEAD), RFC 5288 §3 (GCM), RFC 7905 §2 (ChaCha20)."""

    __slots__ = ()

    def __init__(self, suite: CipherSuite, keys: DirectionKeys, max_fragment: int) -> None:
        super().__init__(suite, keys, max_fragment + suite.explicit_nonce_length + TAG_LENGTH)

    def open_records(self, data: memoryview, out: memoryview) -> int | None:
        end = len(data)
        position, written, sequence = self.position, self.written, self._sequence
        if sequence > MAX_SEQUENCE - end:
            raise _used_up()
        decrypt, iv, data_type = self._decrypt, self._iv, self.data_type
        explicit = self.suite.explicit_nonce_length
        salt = self._keys.iv
        overhead = explicit + TAG_LENGTH
        longest, stop = self.longest, sequence + self.quantum
        pack_aad = _AAD_TLS12.pack
        try:
            while end - position >= 5 and sequence < stop:
                content_type = data[position]
                version = data[position + 1] << 8 | data[position + 2]
                length = data[position + 3] << 8 | data[position + 4]
                if (
                    not 21 <= content_type <= 23
                    or version != VERSION
                    or not overhead <= length <= longest
                ):
                    raise _bad_header_tls12(content_type, version, length, longest)
                body = position + HEADER_LENGTH
                following = body + length
                if following > end:
                    break
                size = length - overhead
                content_end = written + size
                if explicit:
                    nonce = salt + data[body : body + 8]
                else:
                    nonce = (iv ^ sequence).to_bytes(12, "big")
                decrypt(
                    nonce,
                    data[body + explicit : following],
                    pack_aad(sequence, content_type, VERSION, size),
                    out[written:content_end],
                )
                sequence += 1
                position = following
                if content_type != data_type:
                    self.content = bytes(out[written:content_end])
                    return content_type
                if size:
                    written = content_end
                    self._empty_records = 0
                else:
                    self._count_empty()
            return None
        except InvalidTag:
            raise _bad_record_mac() from None
        finally:
            self.quantum = stop - sequence
            self._save(position, written, sequence)


_AAD_TLS12 = struct.Struct(">QBHH")  # seq_num, type, version, length of the plaintext


def make_opener(
    suite: CipherSuite, keys: DirectionKeys, max_fragment: int = MAX_FRAGMENT
) -> Opener:
    """Return the Opener of the suite's version."""
    return (Tls13Opener if suite.tls13 else Tls12Opener)(suite, keys, max_fragment)


def _used_up() -> TlsError:
    """Wrapping is made impossible (RFC 9846 §5.3): a buffer has fewer records than bytes.

    The AEAD's own limit is not enforced here: receivers should not, since later analyses may change
    it (RFC 9846 §5.5). The sender guards its key.
    """
    return TlsError(Alert.INTERNAL_ERROR, "the read sequence number is used up")


def _bad_record_mac() -> TlsError:
    return PeerMisbehaved(Alert.BAD_RECORD_MAC, "a record failed authentication")


def _bad_header_tls13(content_type: int, length: int, longest: int) -> TlsError:
    """The version is not looked at: RFC 9846 §5.1 wants it ignored for all purposes."""
    if content_type != ContentType.APPLICATION_DATA:
        return PeerMisbehaved(
            Alert.UNEXPECTED_MESSAGE, f"outer content type {content_type} after the handshake"
        )
    if length > longest:
        return PeerMisbehaved(Alert.RECORD_OVERFLOW, f"a record of {length} bytes")
    # Shorter than its own tag: cannot be deprotected, and RFC 9846 §6.2 has one alert for that.
    return _bad_record_mac()


def _bad_header_tls12(content_type: int, version: int, length: int, longest: int) -> TlsError:
    if not ContentType.ALERT <= content_type <= ContentType.APPLICATION_DATA:
        return PeerMisbehaved(
            Alert.UNEXPECTED_MESSAGE, f"content type {content_type} after the handshake"
        )
    if version != VERSION:
        # RFC 5246 §6.2.1: the version in use. It is negotiated by now and part of the additional
        # data, so any other is a mistake or not TLS; say so instead of bad_record_mac.
        return PeerMisbehaved(Alert.PROTOCOL_VERSION, f"a record of version 0x{version:04x}")
    if length > longest:
        return PeerMisbehaved(Alert.RECORD_OVERFLOW, f"a record of {length} bytes")
    return _bad_record_mac()
