"""Drives a codec as the front end does, for the tests: bytes in any pieces → messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kssl.proxy.http.bodies import BodyReader
from kssl.proxy.http.codec import Codec, find_head_end, get_codec, skip_empty_lines
from kssl.proxy.http.messages import Field, Limits, RequestHead, ResponseHead

LIMITS = Limits()
CODECS = [get_codec("httptools"), get_codec("h11")]
CODEC_IDS = [codec.name for codec in CODECS]


@dataclass
class Message:
    """One message off the wire."""

    head: RequestHead | ResponseHead
    body: bytes = b""
    trailers: list[Field] = field(default_factory=list)


def pieces(stream: bytes, size: int) -> list[bytes]:
    """`stream` in pieces of `size` bytes; 0 is the whole."""
    return [stream] if not size else [stream[i : i + size] for i in range(0, len(stream), size)]


def read_requests(codec: Codec, stream: Iterable[bytes], limits: Limits = LIMITS) -> list[Message]:
    """All complete requests of a connection. Raises HttpError."""
    messages: list[Message] = []
    buffer = bytearray()
    scanned = 0
    reader: BodyReader | None = None
    for piece in stream:
        buffer += piece
        while buffer:
            if reader is not None:
                feed_reader(reader, buffer, messages[-1])
                if not reader.done:
                    break
                reader = None
                continue
            del buffer[: skip_empty_lines(buffer)]
            end = find_head_end(buffer, scanned, limits.max_request_bytes)
            if end < 0:
                scanned = len(buffer)
                break
            head = codec.parse_request(bytes(buffer[:end]), limits)
            del buffer[:end]
            scanned = 0
            messages.append(Message(head))
            reader = codec.request_body(head, limits)
    if reader is not None:
        messages.pop()
    return messages


def feed_reader(reader: BodyReader, buffer: bytearray, message: Message) -> None:
    """Feed the whole buffer, drop what the reader took."""
    data = memoryview(bytes(buffer))
    body, consumed = reader.feed(data)
    message.body += b"".join(body)
    message.trailers = reader.trailers
    assert reader.received == len(message.body)
    assert reader.done or consumed == len(data)
    del buffer[:consumed]


def read_body(reader: BodyReader | None, stream: bytes, size: int = 0) -> tuple[bytes, bytes]:
    """Body and leftover of `stream`, fed in pieces of `size` bytes."""
    if reader is None:
        return b"", stream
    body = b""
    position = 0
    for piece in pieces(stream, size):
        if reader.done:
            break
        got, consumed = reader.feed(memoryview(piece))
        body += b"".join(got)
        position += consumed
    return body, stream[position:]


def view(message: Message) -> tuple[object, ...]:
    """What has to be the same however the bytes were cut."""
    return (message.head, message.body, message.trailers)
