"""The development CA: certificates for loopback names, so that `kssl serve` needs none.

It is made once per state folder, so that a developer trusts it once. A developer's machine then
trusts it for everything it may sign; therefore it may sign next to nothing. Its own certificate
carries critical name constraints (RFC 5280, 4.2.1.10): ``localhost`` and the names below it,
127.0.0.0/8 and ::1, and the extended key usage limits it to TLS servers. Whoever steals the key
can pretend to be a server on the victim's own machine, no more.

Names below ``localhost`` get a leaf each, on demand. One wildcard ``*.localhost`` would not do:
Chromium refuses a wildcard directly below what it takes for a public suffix, and a name without
a dot is one.

BoringSSL cannot judge constraints on IP addresses, and refuses a leaf that holds some. So a client
that sends the name of a host gets a leaf without: see `kssl.fastpath.worker.development`.

Keys here are made and stored by the process that starts the server; the serving key is loaded
by the crypto worker alone (`kssl.config.credentials`). How the certificates look:
`kssl.config.devcert`.

Files in the state folder::

    ca.pem                  0644   what a client must trust
    ca.key                  0600
    leaves/NAME.pem, .key   0644, 0600
    lock                    held while any of them is made
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from kssl.config import statedir
from kssl.config.devcert import (
    address_of,
    general_name,
    is_loopback,
    issue_leaf,
    self_signed,
    spki,
    spki_of,
)
from kssl.config.errors import ConfigError

DEFAULT_NAMES = ("localhost", "127.0.0.1", "::1")

# Long enough that nobody has to trust it twice on one machine.
CA_LIFETIME = timedelta(days=3650)
# Below every client's limit: macOS and Chromium refuse more than 398 days of a public CA, and
# macOS more than 825 of a private one (support.apple.com/103769).
LEAF_LIFETIME = timedelta(days=90)
# A leaf is renewed once less than a third of its life remains.
LEAF_RENEWAL = LEAF_LIFETIME / 3
# Containers and virtual machines lag behind their host's clock.
BACKDATE = timedelta(hours=1)

# RFC 1123, 2.1; lower case, because names are lowered first.
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_MAX_NAME = 253
# Bytes of a name that go into a file name; 255 is the file system's limit (NAME_MAX).
_MAX_STEM = 200


def permitted(name: str) -> bool:
    """Whether the development CA may vouch for `name`, a host name or a bare IP address."""
    address = address_of(name)
    if address is not None:
        return is_loopback(address)
    labels = name.lower().split(".")
    return (
        len(name) <= _MAX_NAME
        and labels[-1] == "localhost"
        and all(_LABEL.fullmatch(label) for label in labels)
    )


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate of the development CA and its private key, which `repr` does not show."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone: clients have the CA, there is nothing in between."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS #8, not encrypted. For `statedir.write_private` only."""
        return _key_pem(self.key)


class DevelopmentCA:
    """The CA of one state folder. Get it from `open_or_create`."""

    def __init__(
        self, state_dir: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._state_dir = state_dir
        self.certificate = certificate
        self._key = key

    def __repr__(self) -> str:
        return f"<DevelopmentCA {self.ca_path}>"

    @property
    def ca_path(self) -> Path:
        """The file that a client must trust."""
        return self._state_dir / "ca.pem"

    @classmethod
    def open_or_create(cls, state_dir: Path, now: datetime | None = None) -> DevelopmentCA:
        """The CA of `state_dir`, made if there is none, replaced once it is too old to be used.

        "Too old" is less than one leaf's life before its end: a leaf that outlives its CA is
        worth nothing. `now` is aware; None reads the clock.

        Raises:
            ConfigError: the folder or a file of it cannot be used, or is not what we left.
        """
        now = _clock(now)
        folder = statedir.ensure_state_dir(state_dir)
        with statedir.locked(folder):
            return cls._open(folder, now) or cls._create(folder, now)

    @classmethod
    def _open(cls, folder: Path, now: datetime) -> DevelopmentCA | None:
        """The stored CA; None if there is none, or none of use any more. The lock is held."""
        certificate_path, key_path = folder / "ca.pem", folder / "ca.key"
        remedy = (
            f"delete {certificate_path} and {key_path} to get a new one, "
            "which clients must trust anew"
        )
        certificate_pem = statedir.read_public(certificate_path)
        if certificate_pem is None:
            # `_create` writes the key first. A key alone is what a crash has left, and nobody
            # can have trusted its certificate.
            return None
        key_pem = statedir.read_private(key_path)
        if key_pem is None:
            raise ConfigError(f"the development CA's key {key_path} is missing; {remedy}")
        certificate = _load_certificate(certificate_pem)
        if certificate is None:
            raise ConfigError(f"{certificate_path} is not a PEM certificate; {remedy}")
        key = _load_key(key_pem)
        if key is None:
            raise ConfigError(f"{key_path} is not a PEM private key on P-256; {remedy}")
        if spki(key.public_key()) != spki_of(certificate):
            raise ConfigError(f"{key_path} is not the key of {certificate_path}; {remedy}")
        if now < certificate.not_valid_before_utc:
            raise ConfigError(
                f"{certificate_path} is valid only from {certificate.not_valid_before_utc}, "
                f"and the clock says {now:%Y-%m-%d %H:%M:%S} UTC; set the clock, or {remedy}"
            )
        if certificate.not_valid_after_utc - now < LEAF_LIFETIME:
            return None
        return cls(folder, certificate, key)

    @classmethod
    def _create(cls, folder: Path, now: datetime) -> DevelopmentCA:
        """Make a new CA in the place of whatever is there. The lock is held."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self_signed(key, now - BACKDATE, now + CA_LIFETIME)
        ca = cls(folder, certificate, key)
        # In this order a crash at any point leaves either nothing or a key without certificate,
        # which `_open` knows how to take; never a pair that does not match.
        statedir.remove(ca.ca_path)
        statedir.write_private(folder / "ca.key", _key_pem(key))
        statedir.write_public(ca.ca_path, certificate.public_bytes(Encoding.PEM))
        return ca

    def issue(
        self,
        names: Sequence[str],
        now: datetime | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Leaf:
        """A new leaf for `names` (host names and bare IP addresses), with a new key unless given.

        Raises:
            ConfigError: no names, or one that this CA may not vouch for.
        """
        now = _clock(now)
        names = _checked(names)
        key = key or ec.generate_private_key(ec.SECP256R1())
        start, end = now - BACKDATE, now + LEAF_LIFETIME
        certificate = issue_leaf(names, key.public_key(), self.certificate, self._key, start, end)
        return Leaf(certificate, key)

    def ensure_leaf(
        self, names: Sequence[str] = DEFAULT_NAMES, now: datetime | None = None
    ) -> tuple[Path, Path]:
        """The files (certificate, key) of a leaf for exactly `names`, made or renewed if need be.

        Renewal keeps the key: the certificate's atomic rename is then the only change, and a
        worker that loads the pair at that moment still finds two files that match.

        Raises:
            ConfigError: as `issue`, a file that cannot be used, or the CA of the state folder
                is no longer this one.
        """
        now = _clock(now)
        names = _checked(names)
        with statedir.locked(self._state_dir):
            stored = statedir.read_public(self.ca_path)
            if stored is None or _load_certificate(stored) != self.certificate:
                raise ConfigError(f"{self.ca_path} was replaced since kssl read it; restart kssl")
            folder = statedir.ensure_state_dir(self._state_dir / "leaves")
            stem = _stem(names)
            certificate_path, key_path = folder / f"{stem}.pem", folder / f"{stem}.key"
            certificate = _load_certificate(statedir.read_public(certificate_path))
            key = _load_key(statedir.read_private(key_path))
            if key is None or certificate is None or not self._serves(certificate, names, now, key):
                leaf = self.issue(names, now, key)
                if key is None:
                    # As for the CA: a crash leaves a key without certificate, not a mismatch.
                    statedir.remove(certificate_path)
                    statedir.write_private(key_path, leaf.key_pem)
                statedir.write_public(certificate_path, leaf.certificate_pem)
        return certificate_path, key_path

    def _serves(
        self,
        certificate: x509.Certificate,
        names: Sequence[str],
        now: datetime,
        key: ec.EllipticCurvePrivateKey,
    ) -> bool:
        """Whether a stored leaf is ours, for this key and these names, and has life left."""
        if spki_of(certificate) != spki(key.public_key()):
            return False
        try:
            certificate.verify_directly_issued_by(self.certificate)
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        wanted = {general_name(name) for name in names}
        # A clock that went back makes a leaf "not yet valid": as useless as an old one.
        return (
            wanted == set(extension.value)
            and certificate.not_valid_before_utc <= now
            and certificate.not_valid_after_utc - now >= LEAF_RENEWAL
        )


def _clock(now: datetime | None) -> datetime:
    """`now`, or the clock's; whole seconds in UTC, as certificates have it."""
    return (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def _checked(names: Iterable[str]) -> list[str]:
    """`names` in lower case, each once, in order. Raises ConfigError for one not permitted."""
    checked = list(dict.fromkeys(name.lower() for name in names))
    if not checked:
        raise ConfigError("a development certificate needs at least one name, such as localhost")
    for name in checked:
        if not permitted(name):
            raise ConfigError(
                f"the development CA does not vouch for {name!r}, only for localhost, names "
                "below it (app.localhost), 127.0.0.0/8 and ::1; configure a certificate instead"
            )
    return checked


def _stem(names: Sequence[str]) -> str:
    """The file name for `names`: the first of them, and a digest unless that says it all.

    Two servers with different sets of names thus never overwrite each other's leaf.
    """
    first = names[0].replace(":", "_")
    if len(names) == 1 and len(first) <= _MAX_STEM:
        return first
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
    return f"{first[:_MAX_STEM]}-{digest}"


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_certificate(pem: bytes | None) -> x509.Certificate | None:
    try:
        return None if pem is None else x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None


def _load_key(pem: bytes | None) -> ec.EllipticCurvePrivateKey | None:
    """A P-256 key, or None. No exception text: it could say something about the key."""
    if pem is None:
        return None
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    return None
