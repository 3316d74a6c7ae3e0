"""A lower value is a restart where that is proven; else the events are not known. One event a second."""

from __future__ import annotations

import numpy as np
import pytest

from ops_platform.slo.counting import counter_falls
from ops_platform.slo.counting.counter_deltas import Timeline, timeline
from ops_platform.slo.counting.samples import Labels, Series, Times, Values
from ops_platform.slo.counting.scrapes import VIEW, Scrapes

STEP = 15_000
START, END, UNTIL = VIEW, VIEW + 3_600_000, 2 * VIEW + 3_600_000
TARGET: Labels = (("instance", "a"), ("job", "product"))
TIMES: Times = np.arange(STEP, UNTIL + 1, STEP, dtype=np.int64)
SECONDS: Values = TIMES // 1000
DIP = int(np.searchsorted(TIMES, START + 1_800_000))
LONG_AGO = -5_000_000


def counter(values: Values, code: str = "200", times: Times = TIMES) -> Series:
    return Series((("__name__", "events_total"), ("code", code), *TARGET), times, values)


def line_of(*series: Series, starts: Values | int | None) -> Timeline:
    """Of one target; ``starts``: since when its process runs, at every scrape."""
    scrapes = Scrapes(TIMES)
    if starts is not None:
        scrapes = Scrapes(TIMES, reported_at=TIMES, reported_starts=np.broadcast_to(starts, TIMES.shape))
    resets = {TARGET: counter_falls.reset_times(list(series), scrapes)}
    return timeline(list(series), {TARGET: scrapes}, resets, TIMES, 0, UNTIL)


def events(*series: Series, starts: Values | int | None) -> int | None:
    line = line_of(*series, starts=starts)
    return None if line.missing(START, END) else int(line.events(np.array([START, END]))[0])


def test_one_sample_that_is_lower_is_no_restart() -> None:
    """True 3,600; counted as a restart it was 1,011,685, and known."""
    values = 1_006_000 + SECONDS
    assert events(counter(values), starts=LONG_AGO) == 3600
    values[DIP] -= 22
    line = line_of(counter(values), starts=LONG_AGO)
    assert events(counter(values), starts=LONG_AGO) is None
    doubt = line.missing(START, END)
    assert doubt is not None
    assert "fell from" in doubt.reason
    assert "its process had not begun anew" in doubt.reason
    # Nothing else of the hour is in doubt: from the sample before to the one that is back.
    assert (doubt.after, doubt.until) == (TIMES[DIP - 1], TIMES[DIP + 1])
    # A target that reports no start proves nothing either.
    assert events(counter(values), starts=None) is None


def test_counters_that_dip_together_prove_no_restart() -> None:
    """True 240 of 3,840; counted as a restart it was 20,779 of 1,032,464."""
    good, bad = 1_006_000 + SECONDS, 20_000 + SECONDS // 15
    good[DIP] -= 22
    bad[DIP] -= 2
    for starts in (LONG_AGO, None):
        line = line_of(counter(good), counter(bad, "500"), starts=starts)
        assert line.missing(START, END) is not None
        assert int(line.resets_in(np.array([START, END]))[0]) == 0


@pytest.mark.parametrize(
    ("started", "counted"),
    [
        pytest.param(int(TIMES[DIP]) - 5_000, True, id="it began since the last scrape"),
        pytest.param(int(TIMES[DIP]) - 45_000, True, id="its clock is half a minute off"),
        pytest.param(LONG_AGO + 1_000, False, id="the same start, of a rounded boot time"),
        pytest.param(LONG_AGO - 60_000, False, id="it goes back"),
        pytest.param(LONG_AGO + 60_000, False, id="it ran before the last scrape"),
        pytest.param(None, True, id="nobody says, and it has a small part of what it had"),
    ],
)
def test_a_restart_is_proven_by_its_process(started: int | None, counted: bool) -> None:
    values = 1_000_000 + SECONDS
    values[DIP:] = SECONDS[DIP:] - SECONDS[DIP - 1]
    starts = None if started is None else np.where(np.arange(TIMES.size) < DIP, LONG_AGO, started)
    assert events(counter(values), starts=starts) == (3600 if counted else None)


def test_workers_behind_a_balancer_are_not_one_process() -> None:
    """Each scrape reaches another: start and counts go back and forth."""
    odd = np.arange(TIMES.size) % 2 == 1
    for other in (500, 3_000_000):
        values = np.where(odd, other + SECONDS, 1_000_000 + SECONDS)
        line = line_of(counter(values), starts=np.where(odd, LONG_AGO + 600_000, LONG_AGO))
        doubts = {stretch.reason for stretch in line.unknown}
        assert line.missing(START, END) is not None
        assert any("several behind one address" in doubt for doubt in doubts)
    # Also where one of them has only just begun.
    starts = np.where(odd, TIMES[0] - 1_000, LONG_AGO)
    assert events(counter(np.where(odd, SECONDS, 1_000_000 + SECONDS)), starts=starts) is None


def test_a_zero_stored_at_the_creation_proves_a_birth_and_a_restart() -> None:
    """With ``created-timestamp-zero-ingestion``: no scrape was made then, and nobody reports a start."""
    born = TIMES[DIP:]
    created = int(born[0]) - 7_000
    times = np.concatenate(([created], born))
    values = np.concatenate(([0], 50 + SECONDS[DIP:] - SECONDS[DIP]))
    expected = 50 + (END - int(born[0])) // 1000
    assert events(counter(values, times=times), starts=None) == expected
    # A target that is scraped for the first time: the zero comes before anybody has tried.
    alone = Scrapes(born)
    line = timeline([counter(values, times=times)], {TARGET: alone}, {}, TIMES, 0, UNTIL)
    assert line.missing(START, END) is None
    assert int(line.events(np.array([START, END]))[0]) == expected
    # A restart, after which the first scrape shows more than there ever was before.
    series = counter(
        np.concatenate((np.full(DIP, 40, np.int64), values)), times=np.concatenate((TIMES[:DIP], times))
    )
    assert events(series, starts=None) == expected
    # A zero that a scrape showed, of a process that went on, proves nothing.
    dipped = counter(np.where(np.arange(TIMES.size) == DIP, 0, 40))
    assert events(dipped, starts=LONG_AGO) is None
    assert events(dipped, starts=None) is None


def test_what_comes_back_with_less_needs_the_same_proof() -> None:
    away = np.concatenate((TIMES[: DIP - 40], TIMES[DIP:]))
    values = np.where(away < TIMES[DIP], 1000, 990)
    for starts in (LONG_AGO, None):
        assert events(counter(values, times=away), starts=starts) is None
    began = np.where(TIMES[DIP] > TIMES, LONG_AGO, int(TIMES[DIP]) - 1_000)
    assert events(counter(values, times=away), starts=began) == 990
