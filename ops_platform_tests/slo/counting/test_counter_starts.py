"""What a counter shows after a restart, a move or a new spelling: counted where it is provably new."""

from __future__ import annotations

import numpy as np
import pytest

from ops_platform.slo.counting import counter_falls
from ops_platform.slo.counting.counter_deltas import timeline
from ops_platform.slo.counting.samples import Labels, Series, Times
from ops_platform.slo.counting.scrapes import VIEW, Scrapes

START, END, UNTIL = VIEW, VIEW + 3_600_000, 2 * VIEW + 3_600_000
AT = 2_400_000
"""When something changes, within (START, END]."""


def target(instance: str) -> Labels:
    return (("instance", instance), ("job", "product"))


def every(since: int = 60_000, until: int = UNTIL) -> Times:
    return np.arange(since, until + 1, 60_000, dtype=np.int64)


def series(code: str, samples: dict[int, int], instance: str = "a") -> Series:
    at = np.array(sorted(samples), np.int64)
    labels = (("__name__", "events_total"), ("code", code), *target(instance))
    return Series(labels, at, np.array([samples[one] for one in at.tolist()], np.int64))


def told(at: Times, started: int | None, before: int = -5_000_000) -> Scrapes:
    """``started`` from AT on; before that another process ran."""
    if started is None:
        return Scrapes(at)
    return Scrapes(at, reported_at=at, reported_starts=np.where(at < AT, before, started))


def events(found: list[Series], scrapes: dict[Labels, Scrapes]) -> int | None:
    fell = {
        one.target: counter_falls.reset_times(
            [each for each in found if each.target == one.target],
            scrapes.get(one.target, Scrapes(every()[:0])),
        )
        for one in found
    }
    line = timeline(found, scrapes, fell, every(), 0, UNTIL)
    return None if line.missing(START, END) else int(line.events(np.array([START, END]))[0])


def steps(before: int, after: int) -> dict[int, int]:
    return {at: before if at < AT else after for at in every().tolist()}


@pytest.mark.parametrize(
    ("rare", "started", "counted"),
    [
        pytest.param((1, 5), AT - 10_000, 8, id="its process says that it began, and another counter fell"),
        pytest.param((1, 5), None, None, id="another counter fell, and no process says anything"),
        pytest.param((0, 5), None, 8, id="it had counted nothing"),
        pytest.param((5, 1), None, 4, id="it fell too"),
    ],
)
def test_a_restart_that_a_rare_counter_does_not_show(
    rare: tuple[int, int], started: int | None, counted: int | None
) -> None:
    """A deploy that fails at once: more errors in the first minute than in all the life before it."""
    found = [series("200", steps(1000, 3)), series("500", steps(*rare))]
    assert events(found, {target("a"): told(every(), started)}) == counted


def test_an_exporter_that_restarts_may_relay_what_goes_on() -> None:
    going_on = series("200", {at: 10**9 + at // 60_000 for at in every().tolist()})
    assert events([going_on], {target("a"): told(every(), AT - 10_000)}) is None
    assert events([going_on], {target("a"): told(every(), None)}) == 60


@pytest.mark.parametrize(
    ("first", "counted"),
    [
        pytest.param(10**9 + 40, None, id="it goes on with what the other had"),
        pytest.param(3, 29 + 3, id="it has counted less"),
        pytest.param(0, 29, id="it has counted nothing"),
    ],
)
def test_an_instance_that_takes_the_place_of_another(first: int, counted: int | None) -> None:
    """An exporter that moves relays the same counter; a process that is replaced counts its own."""
    old = series("200", {at: 10**9 + at // 60_000 for at in every(until=AT - 60_000).tolist()})
    new = series("200", dict.fromkeys(every(AT).tolist(), first), "b")
    scrapes = {target("a"): Scrapes(every(until=AT - 60_000)), target("b"): told(every(AT), AT - 10_000)}
    assert events([old, new], scrapes) == counted


def test_an_instance_beside_another_counts_its_own() -> None:
    """Of a deploy in turns: the old one still runs when the new one begins."""
    old = series("200", dict.fromkeys(every().tolist(), 2))
    new = series("200", dict.fromkeys(every(AT).tolist(), 5), "b")
    scrapes = {target("a"): Scrapes(every()), target("b"): told(every(AT), AT - 10_000)}
    assert events([old, new], scrapes) == 5


def test_a_counter_that_was_never_there_and_shows_zero_is_new() -> None:
    """Whatever its process says of itself, and however late it was discovered."""
    born = series("200", {at: (at - AT) // 60_000 for at in every(AT).tolist()})
    scrapes = Scrapes(every(AT), every(AT - 120_000, AT - 60_000))
    assert events([born], {target("a"): scrapes}) == 30
    known = Series(born.labels, born.times, born.values, known=True)
    assert events([known], {target("a"): scrapes}) is None


def test_samples_without_up_of_their_target_are_not_enough() -> None:
    found = series("200", steps(1, 2))
    assert events([found], {}) is None
    assert events([found], {target("a"): Scrapes(every())}) == 1


def test_a_label_that_flips_and_flips_back_counts_once() -> None:
    names = {at: "200" if at < AT or at > AT + 120_000 else "2xx" for at in every().tolist()}
    value = {at: 100 + at // 60_000 for at in names}
    found = [series(name, {at: value[at] for at in names if names[at] == name}) for name in ("200", "2xx")]
    assert events(found, {target("a"): Scrapes(every())}) is None
