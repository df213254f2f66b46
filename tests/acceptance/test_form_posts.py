"""Form posts of up to 256 MiB, in both modes at once: what failed in IIS 6 with HTTP 400.64."""

from __future__ import annotations

import pytest

from kssl.proxy.demo import large_post
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MODES

pytestmark = pytest.mark.acceptance


def test_form_posts(proxy: Start, figure: Figure) -> None:
    servers = {mode: proxy(mode) for mode in MODES}
    urls = {mode: server.url for mode, server in servers.items()}
    rows = large_post.run(urls, str(servers["kernel"].ca))
    print(f"\n{large_post.render(rows)}")
    assert large_post.exit_status(rows) == 0
    for mode in MODES:
        fastest = max(row.mb_per_s for row in rows if row.mode == mode)
        count = sum(row.mode == mode for row in rows)
        figure(f"{mode}: {count} posts intact, at most {fastest:,.0f} MB/s")
