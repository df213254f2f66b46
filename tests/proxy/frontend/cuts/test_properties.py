"""Any message in any pieces, cut anywhere: no part passes for the whole, and no whole for a part.

For replies, what is right is told from what the attacker let pass: how the proxy makes its records
depends on when the app's pieces come.
"""

from __future__ import annotations

from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kssl.proxy.demo.truncation.attacker import Attacker
from tests.examples import examples
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.cuts.ends import RESET
from tests.proxy.frontend.cuts.replies import (
    CLOSE,
    CUT,
    FRAMINGS,
    WHOLE,
    Framing,
    answer,
    by_framing,
    by_records,
    play,
)
from tests.proxy.frontend.cuts.requests import Order, attack, judge, sizes_of_order
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, stage_of
from tests.proxy.frontend.cuts.till import Till
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import UpstreamSide, chunked

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)

# The proxy is the same for all examples; each has connections of its own. One that fails may have
# waited for seconds, so no smaller one is looked for.
some = settings(
    max_examples=examples(25),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hows, versions = st.sampled_from(HOWS), st.sampled_from(VERSIONS)
places = st.lists(st.integers(0, 400), max_size=5)


def split(data: bytes, cuts: list[int], first: int = 0) -> list[bytes]:
    """In pieces that end at these places, none of them empty; behind ``first`` at the earliest."""
    inside = {first + cut for cut in cuts if 0 < first + cut < len(data)}
    return [data[a:b] for a, b in pairwise([0, *sorted(inside), len(data)])]


@some
@given(
    framing=st.sampled_from(FRAMINGS),
    version=versions,
    body=st.binary(min_size=1, max_size=300),
    cuts=places,
    offset=st.integers(0, 800),
    how=hows,
)
def test_replies(
    proxy: Rig,
    serve: Serve,
    framing: Framing,
    version: str,
    body: bytes,
    cuts: list[int],
    offset: int,
    how: str,
) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(*split(answer(framing.name.encode(), body), cuts))

    serve(script, max_bytes_per_send=64)
    stage = stage_of(proxy)
    with Attacker(stage.port) as attacker:
        got, ending, link = play(attacker, stage.context(version), framing, by_records, offset, how)
    if ending == WHOLE:
        assert not link.swallowed
        assert by_framing(got) == body
    else:
        assert ending == CUT
        assert link.cut_at is not None
        assert framing is CLOSE or by_framing(got) in (None, body)


@some
@given(
    version=versions,
    body=st.binary(min_size=1, max_size=100),
    in_chunks=st.booleans(),
    cuts=places,
    data=st.data(),
    how=hows,
)
def test_requests(
    proxy: Rig,
    serve: Serve,
    version: str,
    body: bytes,
    in_chunks: bool,
    cuts: list[int],
    data: st.DataObject,
    how: str,
) -> None:
    framing = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % len(body)
    said = request(b"POST", b"/pay-0-{}", framing) + (chunked([body]) if in_chunks else body)
    pieces = split(said, cuts, first=len(b"POST /pay-0-{}"))
    order = Order("any", tuple(pieces), (len(pieces),))
    till = Till()
    serve(till)
    stage, numbers = stage_of(proxy), count()
    with Attacker(stage.port) as attacker:
        context = stage.context(version)
        sizes = sizes_of_order(attacker, context, order, next(numbers), till)
        plays = [(how, data.draw(st.integers(0, sum(sizes)), "offset"))]
        done = attack(stage, attacker, version, order, till, plays, sizes=sizes, numbers=numbers)
    assert judge(till, order, done, [RESET]) == []
