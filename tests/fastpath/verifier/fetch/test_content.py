"""Sniffing: real certificates and CRLs in every form, cut ones, and other things."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.content import Form, sniff
from kssl.fastpath.verifier.fetch.errors import FetchFailure
from kssl.fastpath.verifier.fetch.limits import Kind
from tests.fastpath.verifier.fetch.samples import certificate, crl

SIGNED = [x509.load_der_x509_certificate(certificate())] * 2


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (Form.DER, certificate()),
        (Form.PEM, SIGNED[0].public_bytes(Encoding.PEM)),
        (Form.PEM, b"\r\n" + SIGNED[0].public_bytes(Encoding.PEM)),
        (Form.PKCS7_DER, pkcs7.serialize_certificates(SIGNED, Encoding.DER)),
        (Form.PKCS7_PEM, pkcs7.serialize_certificates(SIGNED, Encoding.PEM)),
        (Form.PKCS7_DER, bytes.fromhex("308006092a864886f70d010702a080") + bytes(8)),
    ],
)
def test_certificates(form: Form, body: bytes) -> None:
    assert sniff(body, Kind.CERTIFICATE) is form


def test_what_the_forms_promise() -> None:
    body = pkcs7.serialize_certificates(SIGNED, Encoding.DER)
    assert len(pkcs7.load_der_pkcs7_certificates(body)) == 2


def test_crls() -> None:
    assert sniff(crl(), Kind.CRL) is Form.DER
    pem = x509.load_der_x509_crl(crl()).public_bytes(Encoding.PEM)
    assert sniff(pem, Kind.CRL) is Form.PEM


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        (Kind.CRL, b"", "empty"),
        (Kind.CERTIFICATE, b"<!DOCTYPE html>", "begins with '<!DOCTYPE html>'"),
        (Kind.CERTIFICATE, b"\x1b[2J", "neither DER nor PEM"),
        (Kind.CERTIFICATE, certificate()[:-1], "whole"),
        (Kind.CERTIFICATE, certificate() + b"\n", "whole"),
        (Kind.CERTIFICATE, b"0", "cut off"),
        (Kind.CERTIFICATE, b"0\x82\x01", "cut off"),
        (Kind.CERTIFICATE, b"0\x85\0\0\0\0\0", "cut off"),
        (Kind.CERTIFICATE, b"0\x80\0\0", "indefinite"),
        (Kind.CERTIFICATE, SIGNED[0].public_bytes(Encoding.PEM)[:100], "whole"),
        (Kind.CERTIFICATE, b"-----BEGIN X509 CRL-----", "PEM of 'X509 CRL'"),
        (Kind.CRL, b"-----BEGIN PRIVATE KEY-----", "PEM of 'PRIVATE KEY'"),
        (Kind.CRL, b"-----BEGIN PKCS7-----", "PEM of 'PKCS7'"),
        (Kind.CRL, pkcs7.serialize_certificates(SIGNED, Encoding.DER), "PKCS#7"),
    ],
)
def test_refused(kind: Kind, body: bytes, why: str) -> None:
    with pytest.raises(FetchFailure, match=why) as info:
        sniff(body, kind)
    assert str(info.value).isprintable()


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda rest: b"0" + rest))
def test_nonsense(body: bytes) -> None:
    for kind in Kind:
        said = ""
        try:
            assert sniff(body, kind) in Form
        except FetchFailure as failure:
            said = str(failure)
        assert said.isprintable()
