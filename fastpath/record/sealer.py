"""`Sealer`: the writing direction. It owns the AEAD, the IV, the sequence number and their limit.

Application data is read where it lies and written where it goes out from, without a copy in
between. TLS 1.3 wants the inner content type behind the content and inside the ciphertext
(RFC 9846 §5.2), and the AEAD takes one contiguous input: so the byte behind each fragment is
replaced for the time of the call, and put back. That is why `data` must be writable and have a
byte to spare.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod

from kssl.fastpath.record.wire import (
    ALERT_LENGTH_TLS12,
    EXPANSION_TLS13,
    HEADER,
    HEADER_LENGTH,
    KEY_UPDATE_LENGTH,
    MAX_FRAGMENT,
    MAX_OWN_KEY_UPDATES,
    TAG_LENGTH,
    VERSION,
    AlertLevel,
    ContentType,
)
from kssl.fastpath.tls.errors import Alert, ApiMisused
from kssl.fastpath.tls.keys import MAX_SEQUENCE, DirectionKeys
from kssl.fastpath.tls.keyschedule import next_traffic_secret, traffic_keys
from kssl.fastpath.tls.suites import CipherSuite

_U64 = 2**64


class Sealer(ABC):
    """One writing direction.

    `record_limit`: records per key, from the suite; tests lower it. Application data leaves the
    last one free, for the KeyUpdate or the alert that must follow.
    `fragment`: bytes of content in a full record.
    """

    __slots__ = (
        "_at_end_of_key",
        "_encrypt",
        "_iv",
        "_keys",
        "_record_bound",
        "_records_before",
        "_sequence",
        "_updates",
        "fragment",
        "last_record",
        "suite",
    )

    overhead: int
    """Bytes that sealing adds to a fragment, the header included."""

    def __init__(self, suite: CipherSuite, keys: DirectionKeys, fragment: int) -> None:
        self.suite = suite
        self.fragment = fragment
        self._at_end_of_key = KEY_UPDATE_LENGTH if suite.tls13 else ALERT_LENGTH_TLS12
        self.record_limit = suite.record_limit
        self._updates = 0
        self._records_before = -keys.sequence
        self._use(keys)

    @property
    def record_limit(self) -> int:
        """Records per key."""
        return self.last_record + 1

    @record_limit.setter
    def record_limit(self, limit: int) -> None:
        self.last_record = limit - 1
        # A real limit ends one key at most within a buffer; a low one might at each record.
        self._record_bound = self.overhead + (self._at_end_of_key if limit < 2**20 else 0)

    def _use(self, keys: DirectionKeys) -> None:
        self._keys = keys
        self._encrypt = self.suite.aead(keys.key).encrypt_into
        self._iv = int.from_bytes(keys.iv, "big")
        self._sequence = keys.sequence

    @property
    def records(self) -> int:
        """Records sealed since this object was made, over all keys."""
        return self._records_before + self._sequence

    @property
    def keys(self) -> DirectionKeys:
        """What seals the next record."""
        return self._keys.at(self._sequence)

    @property
    def spent(self) -> bool:
        """Whether the key has one record left at most (RFC 9846 §5.5)."""
        return self._sequence >= self.last_record

    @property
    def can_update(self) -> bool:
        """Whether there is a next key: never in TLS 1.2."""
        return self.suite.tls13 and self._updates < MAX_OWN_KEY_UPDATES

    def update(self, request_peer: bool = False) -> bytes:
        """Seal a KeyUpdate with the old key, then go on with the next (RFC 9846 §4.7.3)."""
        if not self.can_update:
            raise ApiMisused("this connection has no next key")
        message = b"\x18\x00\x00\x01" + bytes((request_peer,))
        record = self.seal_record(ContentType.HANDSHAKE, message)
        self._updates += 1
        self._records_before += self._sequence
        secret = next_traffic_secret(self.suite, self._keys.secret)
        self._use(traffic_keys(self.suite, secret))
        return record

    def seal_alert(self, level: AlertLevel, alert: Alert) -> bytes:
        """Return one alert as a record."""
        return self.seal_record(ContentType.ALERT, bytes((level, alert)))

    def seal_record(self, content_type: ContentType, content: bytes) -> bytes:
        """Return `content`, at most `fragment` bytes of it, as one record."""
        if self._sequence > MAX_SEQUENCE:
            raise ApiMisused("the write sequence number is used up")
        size = len(content)
        data = memoryview(bytearray(size + 1))
        data[:size] = content
        out = memoryview(bytearray(size + self.overhead))
        self.seal(content_type, data, 0, size, out, 0, self._sequence + 1)
        return bytes(out)

    def sealed_size(self, length: int) -> int:
        """Return an upper bound for `length` bytes, with what a spent key adds."""
        records = length // self.fragment + 1
        return length + records * self._record_bound + self._at_end_of_key

    @abstractmethod
    def seal(
        self,
        content_type: int,
        data: memoryview,
        position: int,
        length: int,
        out: memoryview,
        written: int,
        before: int,
    ) -> tuple[int, int]:
        """Seal `data[position:length]` into `out` from `written` on; return both, moved on.

        Stops in front of the record number `before`: for application data that is `last_record`,
        and `position` short of `length` then means that the key is spent.
        """


class Tls13Sealer(Sealer):
    """RFC 9846 §5.2. A limit below 2^14 counts the inner content type too (§5.4)."""

    __slots__ = ("_full_header",)

    overhead = HEADER_LENGTH + EXPANSION_TLS13

    def __init__(self, suite: CipherSuite, keys: DirectionKeys, max_fragment: int) -> None:
        fragment = max_fragment if max_fragment == MAX_FRAGMENT else max_fragment - 1
        super().__init__(suite, keys, fragment)
        self._full_header = HEADER.pack(23, VERSION, fragment + EXPANSION_TLS13)

    def seal(
        self,
        content_type: int,
        data: memoryview,
        position: int,
        length: int,
        out: memoryview,
        written: int,
        before: int,
    ) -> tuple[int, int]:
        encrypt, iv, sequence = self._encrypt, self._iv, self._sequence
        while position < length and sequence < before:
            end = position + self.fragment
            if end <= length:
                header = self._full_header
            else:
                end = length
                header = HEADER.pack(23, VERSION, end - position + 17)
            body = written + HEADER_LENGTH
            following = body + end - position + 17
            out[written:body] = header
            replaced = data[end]
            data[end] = content_type
            try:
                # Counted before the call: a nonce is never used twice, whatever happens in it.
                self._sequence = sequence + 1
                encrypt(
                    (iv ^ sequence).to_bytes(12, "big"),
                    data[position : end + 1],
                    header,
                    out[body:following],
                )
            finally:
                data[end] = replaced
            sequence += 1
            position = end
            written = following
        return position, written


class Tls12Sealer(Sealer):
    """RFC 5246 §6.2.3.3 (AEAD), RFC 5288 §3 (GCM), RFC 7905 §2 (ChaCha20)."""

    __slots__ = ("_explicit_offset", "overhead")

    def __init__(self, suite: CipherSuite, keys: DirectionKeys, max_fragment: int) -> None:
        self.overhead = HEADER_LENGTH + suite.explicit_nonce_length + TAG_LENGTH
        super().__init__(suite, keys, max_fragment)
        self._explicit_offset = keys.explicit_nonce - keys.sequence

    @property
    def keys(self) -> DirectionKeys:
        """What seals the next record."""
        explicit = 0
        if self.suite.explicit_nonce_length:
            explicit = (self._explicit_offset + self._sequence) % _U64
        return self._keys.at(self._sequence, explicit)

    def seal(
        self,
        content_type: int,
        data: memoryview,
        position: int,
        length: int,
        out: memoryview,
        written: int,
        before: int,
    ) -> tuple[int, int]:
        encrypt, iv, sequence = self._encrypt, self._iv, self._sequence
        salt = self._keys.iv
        explicit, offset = self.suite.explicit_nonce_length, self._explicit_offset
        pack_header, pack_aad, fragment = HEADER.pack_into, _AAD_TLS12.pack, self.fragment
        while position < length and sequence < before:
            end = position + fragment
            if end > length:
                end = length
            size = end - position
            body = written + HEADER_LENGTH
            following = body + explicit + size + TAG_LENGTH
            pack_header(out, written, content_type, VERSION, following - body)
            if explicit:
                # Any value that does not repeat will do; going on from OpenSSL's cannot repeat.
                part = ((offset + sequence) % _U64).to_bytes(8, "big")
                out[body : body + 8] = part
                nonce = salt + part
            else:
                nonce = (iv ^ sequence).to_bytes(12, "big")
            # Counted before the call: a nonce is never used twice, whatever happens in it.
            self._sequence = sequence + 1
            encrypt(
                nonce,
                data[position:end],
                pack_aad(sequence, content_type, VERSION, size),
                out[body + explicit : following],
            )
            sequence += 1
            position = end
            written = following
        return position, written


_AAD_TLS12 = struct.Struct(">QBHH")  # seq_num, type, version, length of the plaintext


def make_sealer(
    suite: CipherSuite, keys: DirectionKeys, max_fragment: int = MAX_FRAGMENT
) -> Sealer:
    """Return the Sealer of the suite's version."""
    return (Tls13Sealer if suite.tls13 else Tls12Sealer)(suite, keys, max_fragment)
