"""``kssl demo large-post``: a form with lots of data, posted in every mode.

Under IIS 6.0 in kernel mode such a form could end in HTTP 400.64, before Windows Server 2003 SP2
(`docs/windows.md`). Here every post must arrive whole: the hash that is computed while the body
goes out is compared with the app's.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from kssl.proxy.demo import forms

_KIB, _MIB = 2**10, 2**20
_TIMEOUT_SECONDS = 120.0

# 48 KiB is the default of IIS's uploadReadAheadSize; one byte more is the first body that does not
# fit.
SIZES = (1, 16 * _KIB, 48 * _KIB, 48 * _KIB + 1, _MIB, 256 * _MIB)
VIEWSTATE_SIZE = 10 * _MIB


@dataclass(frozen=True)
class Case:
    """One form to post."""

    kind: forms.Kind
    label: str
    form: forms.Form


@dataclass(frozen=True)
class Row:
    """What became of one post."""

    form: str
    label: str
    size: int
    mode: str
    status: int
    seconds: float
    intact: bool
    error: str | None

    @property
    def mb_per_s(self) -> float:
        """Megabytes (10^6 bytes) per second, both hashes included."""
        return self.size / self.seconds / 1e6 if self.seconds > 0 else 0.0


def cases(sizes: Iterable[int] = SIZES, viewstate: int | None = VIEWSTATE_SIZE) -> list[Case]:
    """Both kinds of form in every size, and one with a large hidden field."""
    found = []
    kinds: tuple[forms.Kind, ...] = ("urlencoded", "multipart")
    for size in sizes:
        for kind in kinds:
            form = forms.body_of(kind, size)
            label = size_text(size) + ("" if form.length == size else " file")
            found.append(Case(kind, label, form))
    if viewstate is not None:
        form = forms.field_of("urlencoded", viewstate)
        found.append(Case("urlencoded", f"{size_text(viewstate)} field", form))
    return found


def run(
    urls: Mapping[str, str],
    ca: str,
    *,
    posts: Sequence[Case] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Post every form to every mode's base URL (``{"user": url, "kernel": url}``)."""
    context = ssl.create_default_context(cafile=ca)
    rows = []
    for case in cases() if posts is None else posts:
        for mode, url in urls.items():
            row = _post(case, mode, url, context)
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return rows


def exit_status(rows: Sequence[Row]) -> int:
    """0 if every post arrived whole, else 1."""
    return 0 if rows and all(row.intact for row in rows) else 1


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as plain values."""
    return [asdict(row) | {"mb_per_s": round(row.mb_per_s, 3)} for row in rows]


def render(rows: Iterable[Row]) -> str:
    """The rows as a table with aligned columns."""
    head = ("form", "size", "mode", "status", "seconds", "MB/s", "intact")
    lines = [head] + [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    # Words to the left, numbers to the right; the last column may be as long as its reason.
    left = {"form", "mode", "intact"}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for name, cell, width in zip(head, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def size_text(size: int) -> str:
    """``16 KiB`` where that is exact, else ``49,153 B``."""
    for unit, name in ((_MIB, "MiB"), (_KIB, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit:,} {name}"
    return f"{size:,} B"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.form,
        row.label,
        row.mode,
        str(row.status) if row.status else "-",
        f"{row.seconds:.3f}",
        f"{row.mb_per_s:,.1f}",
        "✓" if row.intact else f"✗ {row.error or ''}".rstrip(),
    )


def _post(case: Case, mode: str, url: str, context: ssl.SSLContext) -> Row:
    digest = hashlib.sha256()

    def content() -> Iterator[bytes]:
        for piece in case.form.content():
            digest.update(piece)
            yield piece

    status, error, began = 0, None, time.perf_counter()
    try:
        connection = _connection(url, context)
        try:
            connection.connect()
            began = time.perf_counter()
            status, answer = _exchange(connection, url, case.form, content())
        finally:
            connection.close()
        error = _verdict(status, answer, case.form.length, digest.hexdigest())
    except (OSError, http.client.HTTPException) as failure:
        error = f"{type(failure).__name__}: {failure}"
    seconds = time.perf_counter() - began
    return Row(case.kind, case.label, case.form.length, mode, status, seconds, error is None, error)


def _connection(url: str, context: ssl.SSLContext) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, parts.port, timeout=_TIMEOUT_SECONDS, context=context
        )
    # Straight to the app: the same posts without TLS, to compare with.
    return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_SECONDS)


def _exchange(
    connection: http.client.HTTPConnection, url: str, form: forms.Form, content: Iterator[bytes]
) -> tuple[int, bytes]:
    headers = {"Content-Type": form.content_type, "Content-Length": str(form.length)}
    path = urlsplit(url).path.rstrip("/") + "/upload"
    refusal: OSError | None = None
    try:
        connection.request("POST", path, body=content, headers=headers)
    except OSError as failure:
        # A server may answer (413, 400) and close without reading the rest: read its answer.
        refusal = failure
    try:
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as failure:
        raise refusal or failure from None


def _verdict(status: int, answer: bytes, length: int, sha256: str) -> str | None:
    if status != http.client.OK:
        return f"HTTP {status}"
    try:
        told = json.loads(answer)
        arrived, hashed = told["bytes"], told["sha256"]
    except (ValueError, KeyError, TypeError):
        return "the answer is not the app's"
    if arrived != length:
        return f"{arrived:,} of {length:,} bytes arrived"
    return None if hashed == sha256 else "the bytes changed on the way"
