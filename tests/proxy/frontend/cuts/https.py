"""A CA for apps that speak TLS, and the lines of a site that believes it."""

from __future__ import annotations

import json
import ssl
from dataclasses import replace
from pathlib import Path

import trustme

from kssl.config.model import Configuration
from kssl.config.target import Target, UpstreamTls
from tests.proxy.frontend.rig import BINDINGS, Rig, one_site


class Authority:
    """`ca` is its certificate's file, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.ca))
        self.ca.chmod(0o600)

    def server(self, version: str, *, tickets: int = 0) -> ssl.SSLContext:
        """For an app on `localhost`, with this version and no other. ``tickets``: of TLS 1.3, a
        record each in front of the answer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        context.num_tickets = tickets
        self._ca.issue_cert("localhost").configure_cert(context)
        return context

    def lines(self, *, guard: bool = True) -> list[str]:
        """Of kssl.toml, for `running`."""
        truncation = [] if guard else ['upstream_truncation = "pass"']
        return [f"upstream_ca = {json.dumps(str(self.ca))}", *truncation]

    def serve(self, rig: Rig, port: int, *, guard: bool = True) -> None:
        """The same in this process."""
        tls = UpstreamTls("localhost", ca=self.ca)
        site = one_site(Target("https", "127.0.0.1", port, tls=tls))
        rig.configure()
        rig.wait(
            rig.service.reload(
                Configuration(
                    parameters=rig.front.parameters,
                    sites=(replace(site, bindings=BINDINGS, pass_truncated=not guard),),
                )
            )
        )
