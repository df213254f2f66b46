"""The table of suites agrees with itself and with OpenSSL."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from kssl.fastpath.tls.suites import BY_CODE, BY_OPENSSL_NAME, SUITES, CipherSuite


def test_sorted_and_unique() -> None:
    codes = [suite.code for suite in SUITES]
    assert codes == sorted(codes)
    assert len(BY_CODE) == len(BY_OPENSSL_NAME) == len(SUITES) == 9


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.openssl_name)
def test_openssl_knows_the_name(suite: CipherSuite) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    if suite.tls13:
        context.set_tls13_ciphersuites(suite.openssl_name.encode())
    else:
        context.set_cipher_list(suite.openssl_name.encode())
    assert suite.openssl_name in SSL.Connection(context).get_cipher_list()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.openssl_name)
def test_the_parameters_follow_from_the_iana_name(suite: CipherSuite) -> None:
    assert suite.tls13 == ("_WITH_" not in suite.name)
    assert suite.key_length == (16 if "AES_128" in suite.name else 32)
    assert suite.hash_name == suite.name.rsplit("_", 1)[1].lower()
    assert suite.aead.__name__ == ("AESGCM" if "GCM" in suite.name else "ChaCha20Poly1305")
    assert suite.implicit_iv_length + suite.explicit_nonce_length == 12


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        BY_CODE[0] = SUITES[0]  # type: ignore[index]
