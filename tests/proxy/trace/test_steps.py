"""The steps that are found in events: how many, in which order, with which numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kssl.proxy.trace.steps import Step, Walk, handshake_walk, request_walk
from tests.proxy.trace.script import FRAME, TAG, US, Script, kernel_mode, sealing, user_mode

NINE = (
    "Request", "HTTP.SYS", "HTTPFilter", "HTTP.SYS", "Worker process",
    "HTTP.SYS", "HTTPFilter", "HTTP.SYS", "Response",
)  # fmt: skip
FIVE = ("Request", "HTTP.SYS", "Worker process", "HTTP.SYS", "Response")


def names(walk: Walk) -> tuple[str, ...]:
    assert [step.number for step in walk.steps] == list(range(1, len(walk.steps) + 1))
    return tuple(step.iis_name for step in walk.steps)


def adds_up(walk: Walk) -> bool:
    """The steps between the client's are the front end's whole time."""
    ours = [step for step in walk.steps if step.actor != "client"]
    return sum(step.work + step.wait for step in ours) == walk.front > 0


def handed_on(walk: Walk) -> bool:
    """What one step gives is what the next one gets."""
    return all(step.bytes_out == following.bytes_in for step, following in pairwise(walk.steps))


def test_user_mode_has_nine_steps() -> None:
    walk = user_mode().walk()
    assert names(walk) == NINE
    assert [step.actor for step in walk.steps] == [
        "client", "front", "worker", "front", "app", "front", "worker", "front", "client",
    ]  # fmt: skip
    assert [step.direction for step in walk.steps] == ["request"] * 5 + ["response"] * 4
    assert [step.pid for step in walk.steps] == [1, 2, 3, 2, None, 2, 3, 2, 1]
    assert [step.bytes_in for step in walk.steps] == [
        0, 80 + TAG, 80 + TAG + FRAME, 80 + FRAME, 300,
        150, 150 + FRAME, 150 + TAG + FRAME, 150 + TAG,
    ]  # fmt: skip
    assert handed_on(walk)
    assert [(step.opened, step.sealed) for step in walk.steps] == [
        (0, 0), (0, 0), (1, 0), (0, 0), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0),
    ]  # fmt: skip
    assert {step.count for step in walk.steps} == {1}


def test_kernel_mode_has_five_steps() -> None:
    walk = kernel_mode().walk()
    assert names(walk) == FIVE
    assert [(step.bytes_in, step.bytes_out) for step in walk.steps] == [
        (0, 80 + TAG), (80 + TAG, 300), (300, 150), (150, 150 + TAG), (150 + TAG, 0),
    ]  # fmt: skip
    assert [step.crypto for step in walk.steps] == [0, 10 * US, 0, 10 * US, 0]
    assert walk.steps[1].what == "reads it, forwards it"


def test_times() -> None:
    walk = user_mode().walk()
    worked = [step.work // US for step in walk.steps]
    waited = [step.wait // US for step in walk.steps]
    #       asks  reads  opens  forwards  app  reads  seals  sends  gets
    assert worked == [10, 30, 40, 40, 200, 40, 40, 30, 10]
    assert waited == [5, 5, 5, 0, 0, 5, 5, 0, 5]
    assert adds_up(walk)
    assert walk.client == sum(step.work + step.wait for step in walk.steps)


def test_two_hops_show_the_filter() -> None:
    walk = user_mode(filtered=True).walk()
    assert names(walk) == (
        "Request", "HTTP.SYS", "HTTPFilter", "LSASS", "HTTPFilter", "HTTP.SYS", "Worker process",
        "HTTP.SYS", "HTTPFilter", "LSASS", "HTTPFilter", "HTTP.SYS", "Response",
    )  # fmt: skip
    assert [step.actor for step in walk.steps[2:5]] == ["filter", "worker", "filter"]
    assert handed_on(walk)
    assert adds_up(walk)


def test_batches_are_folded() -> None:
    walk = user_mode(batches=12).walk()
    assert names(walk) == NINE
    assert [step.count for step in walk.steps] == [1, 1, 1, 1, 1, 12, 12, 12, 12]
    assert [step.sealed for step in walk.steps][6] == 12
    assert walk.steps[5].bytes_in == 12 * 150
    assert walk.steps[8].bytes_in == 12 * (150 + TAG)
    assert handed_on(walk)
    assert adds_up(walk)


def test_a_wrong_order_shows() -> None:
    """The response is sealed before the request was opened: no list of ours would say so."""
    script = Script()
    script("client", "send", "front", size=80 + TAG)
    script("front", "recv", "client", size=80 + TAG)
    sealing(script, 150)
    right, wrong = user_mode(), script
    wrong("worker", "frame-in", "link", frame="OPEN", size=80 + TAG + FRAME)
    wrong("front", "frame-in", "link", frame="OPENED", size=80 + FRAME)
    assert names(wrong.walk()) == (
        "Request", "HTTP.SYS", "HTTPFilter", "HTTP.SYS", "Response", "HTTPFilter", "HTTP.SYS",
    )  # fmt: skip
    assert names(right.walk()) == NINE


def test_a_step_that_did_not_happen_is_not_there() -> None:
    """kssl answers by itself: without the app, and with one step less on each of its sides."""
    script = Script()
    script("client", "send", "front", size=80 + TAG)
    script("front", "recv", "client", size=80 + TAG)
    script("front", "frame-out", "link", frame="OPEN", size=80 + TAG + FRAME)
    script("worker", "frame-in", "link", frame="OPEN", size=80 + TAG + FRAME)
    script("front", "frame-in", "link", frame="OPENED", size=80 + FRAME)
    sealing(script, 150)
    walk = script.walk()
    assert names(walk) == (
        "Request", "HTTP.SYS", "HTTPFilter", "HTTP.SYS", "HTTPFilter", "HTTP.SYS", "Response",
    )  # fmt: skip
    assert adds_up(walk)


def test_an_app_that_does_not_answer() -> None:
    script = Script()
    script("front", "recv", "client", size=102)
    script("front", "send", "upstream", size=300)
    script.now += 1000 * US
    script("front", "seal", size=150, made=172, records=1)
    script("front", "send", "client", size=172)
    app = script.walk().steps[1]
    assert (app.actor, app.bytes_in, app.bytes_out, app.work // US) == ("app", 300, 0, 1000)


def test_what_was_before_and_after_is_left_out() -> None:
    script = user_mode()
    begin, end = script.begin, script.now
    script.now += 50 * US
    script("front", "recv", "client", size=24)
    script("front", "frame-out", "link", frame="OPEN", size=33)
    assert request_walk(script.recordings, begin, end) == user_mode().walk()
    assert request_walk(script.recordings, end + 1000 * US, end + 2000 * US) == Walk((), 0, 0)
    assert request_walk([], 0, 1) == Walk((), 0, 0)


def test_calls_that_moved_nothing_are_no_visits() -> None:
    script = kernel_mode()
    script("front", "recv", "client", size=0)
    script("front", "recv", "link", size=0)
    assert [step.count for step in script.walk().steps] == [1] * 5


def test_who_began_last_has_the_time() -> None:
    """The worker begins while the front end's send still returns: no moment is counted twice."""
    script = Script()
    script("front", "recv", "client", size=102)
    script("front", "frame-out", "link", frame="OPEN", size=111)
    script("front", "send", "link", took=100, size=111)
    script.now -= 65 * US
    script("worker", "frame-in", "link", frame="OPEN", took=80, size=111)
    script("front", "frame-in", "link", frame="OPENED", size=89)
    walk = script.walk()
    first, second, third = walk.steps
    assert (first.busy // US, first.work // US) == (120, 60)
    assert (second.busy // US, second.work // US, second.wait // US) == (80, 80, 5)
    assert third.work // US == 10
    assert adds_up(walk)


@pytest.mark.parametrize("size", [2, 3])
def test_the_client_s_rest_of_a_body_is_beside_the_way(size: int) -> None:
    script = Script()
    for _ in range(size):
        script("client", "send", "front", size=1000)
        script("front", "recv", "client", size=1000)
        script("front", "send", "upstream", size=978)
    walk = script.walk()
    client = walk.steps[0]
    assert (client.count, client.busy // US, client.work // US) == (size, size * 10, 10)
    assert adds_up(walk)


def test_a_handshake_is_a_ping_pong() -> None:
    script = Script()
    for frame in ("HANDSHAKE", "ESTABLISHED"):
        script("client", "send", "front", size=517)
        script("front", "recv", "client", size=517)
        script("front", "frame-out", "link", frame="BEGIN", size=527)
        script("worker", "frame-in", "link", frame="BEGIN", size=527, took=900)
        script("worker", "frame-out", "link", frame=frame, size=910)
        script("front", "frame-in", "link", frame=frame, size=910)
        script("front", "send", "client", size=901)
        script("client", "recv", "front", size=901)
    walk = handshake_walk(script.recordings, script.begin, script.now)
    assert names(walk) == ("Client", "HTTP.SYS", "HTTPFilter", "HTTP.SYS") * 2 + ("Client",)
    assert handed_on(walk)
    assert {step.direction for step in walk.steps} == {"handshake"}
    assert sum(step.work + step.wait for step in walk.steps) == walk.client
    assert handshake_walk([], 0, 1) == Walk((), 0, 0)


def test_stretches_lie_within_the_walk() -> None:
    walk = user_mode(batches=3).walk()

    def length(step: Step) -> int:
        return sum(stretch.end - stretch.begin for stretch in step.stretches)

    assert all(length(step) == step.work + step.wait for step in walk.steps)
    assert all(
        0 <= stretch.begin < stretch.end <= walk.client
        for step in walk.steps
        for stretch in step.stretches
    )
