"""The parameters about client certificates."""

from __future__ import annotations

import pytest

from kssl.config.client_certificates import REJECT
from kssl.config.document.read import Request, read_configuration
from kssl.config.errors import ProblemsError
from kssl.config.model import Configuration
from kssl.config.parameter import Value
from kssl.config.profiles import REJECTED
from kssl.config.routing import tls_settings, verifier_settings
from tests.proxy.effects.service import Services, as_toml

_SITE = '[[site]]\nupstreams = ["8000"]\n'
_ASKING = _SITE + 'sslFlags = ["Ssl", "SslRequireCert"]\nclient_ca = "ca.pem"\n'


def configured(services: Services, site: str, **values: Value) -> Configuration:
    """What a service with `site` and `values` would read. Raises ProblemsError."""
    folder = services.folder()
    (folder / "ca.pem").touch(0o600)
    path = folder / "kssl.toml"
    path.touch(0o600)
    path.write_text(as_toml(values) + site)
    return read_configuration(Request(path=path, state_dir=folder))


def url_retrieval_allowed(services: Services) -> None:
    """The verifier is told whom it may ask; without one, it has no effect and says so."""
    for value, allowed in (("", []), ("pki.example, 10.1.0.0/16", ["pki.example", "10.1.0.0/16"])):
        configuration = configured(services, _ASKING, UrlRetrievalAllowed=value)
        told = verifier_settings(configuration, services.folder())
        assert told is not None
        assert told["allowed"] == allowed
    with services.start(UrlRetrievalAllowed="10.1.0.0/16") as service:
        service.passes(b"/")
    assert "UrlRetrievalAllowed has no effect" in service.stderr


def reject_client_certificates(services: Services) -> None:
    """1: no site may ask, and the worker has one policy for all: to refuse who presents one. Who
    has none is served in both."""
    for value, policy in ((0, ""), (1, REJECT)):
        configuration = configured(services, _SITE, RejectClientCertificates=value)
        told = tls_settings(configuration, ("localhost",))
        assert {each["policy"] for each in told["certificates"]} == {policy}
        with services.start(RejectClientCertificates=value) as service:
            service.passes(b"/")
    configured(services, _ASKING, RejectClientCertificates=0)
    with pytest.raises(ProblemsError) as caught:
        configured(services, _ASKING, RejectClientCertificates=1)
    (problem,) = caught.value.problems
    assert (problem.key, problem.text) == ("site[1].sslFlags[2]", f"SslRequireCert: {REJECTED}")
