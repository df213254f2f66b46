"""Which certificate files a site or a [[binding]] names. They are looked at, never read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kssl.config.document.addresses import parse_hostnameport, parse_ipport, parse_thumbprint
from kssl.config.document.context import Context
from kssl.config.document.positions import KeyPath
from kssl.config.document.section import Section
from kssl.config.errors import ConfigError
from kssl.config.model import CertificateBinding, CertificateFiles
from kssl.config.target import Listen

STORE = "certificates"
"""Folder of the certificate store in the state folder: THUMBPRINT.pem and THUMBPRINT.key."""

CERTIFICATE, KEY = "certificate file", "key file"
"""What messages call them."""


@dataclass(frozen=True, slots=True)
class BindingRead:
    """A certificate binding, and where it stands in the document."""

    binding: CertificateBinding
    path: KeyPath


def read_files(section: Section, context: Context, prefix: str = "") -> CertificateFiles | None:
    """``certificate`` and ``key`` of a table, with `prefix` before their names. A missing file is
    reported, and returned anyway, so that nobody complains of a missing certificate too."""
    of_certificate, of_key = f"{prefix}certificate", f"{prefix}key"
    certificate, key = section.text(of_certificate), section.text(of_key)
    if of_key in section and of_certificate not in section:
        section.problem(f"a key without a certificate; add {of_certificate}", of_key)
    if certificate is None:
        return None
    files = CertificateFiles(
        context.folder / certificate, None if key is None else context.folder / key
    )
    look_at(section, context, of_certificate, files.certificate, CERTIFICATE)
    if files.key is not None:
        look_at(section, context, of_key, files.key, KEY)
    return files


def read_binding(section: Section, context: Context) -> BindingRead | None:
    """None if it is not clear what is bound to what; then there is a problem."""
    files, thumbprint = _bound_files(section, context)
    address = _address(section)
    if files is None or address is None:
        return None
    if isinstance(address, Listen):
        binding = CertificateBinding(files, ipport=address, thumbprint=thumbprint)
    else:
        name, port = address
        binding = CertificateBinding(files, hostname=name, port=port, thumbprint=thumbprint)
    return BindingRead(binding, section.path)


def _address(section: Section) -> Listen | tuple[str, int] | None:
    if ("ipport" in section) == ("hostnameport" in section):
        section.problem(
            'needs either ipport = "0.0.0.0:443" or hostnameport = "app.example.com:443"'
        )
        return None
    key = "ipport" if "ipport" in section else "hostnameport"
    text = section.text(key)
    if text is None:
        return None
    try:
        return parse_ipport(text) if key == "ipport" else parse_hostnameport(text)
    except ConfigError as error:
        section.problem(str(error), key)
        return None


def _bound_files(section: Section, context: Context) -> tuple[CertificateFiles | None, str]:
    """The files, and the thumbprint if they are in the store."""
    if ("certhash" in section) == ("certificate" in section):
        section.problem(
            "needs either certhash (a certificate in the store: kssl cert list) or certificate "
            "and key (files)"
        )
        return None, ""
    if "certhash" not in section:
        return read_files(section, context), ""
    if "key" in section:
        section.problem("remove it: the store has the key of a certhash", "key")
    text = section.text("certhash")
    if text is None:
        return None, ""
    try:
        thumbprint = parse_thumbprint(text)
    except ConfigError as error:
        section.problem(str(error), "certhash")
        return None, ""
    store = context.state_dir / STORE
    files = CertificateFiles(store / f"{thumbprint}.pem", store / f"{thumbprint}.key")
    for path in (files.certificate, store / f"{thumbprint}.key"):
        if not look_at(section, context, "certhash", path, "the certificate store's file"):
            break
    return files, thumbprint


def look_at(section: Section, context: Context, key: str, path: Path, what: str) -> bool:
    """Whether the file that `key` names is there and in good hands; if not, that is reported."""
    try:
        context.files.file(path, what)
    except ConfigError as error:
        hint = "; kssl cert list shows what is in the store" if key == "certhash" else ""
        section.problem(f"{error}{hint}", key)
        return False
    return True
