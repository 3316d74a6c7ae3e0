"""Windows add up to the last event or say that they are unknown; a plain oracle agrees on every one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.slo.counters import HORIZON, Scrapes, Timeline, timeline
from ops_platform.slo.samples import Series
from ops_platform_tests.slo.histories import INTERVAL, Life, lives, times_around

HISTORIES = st.tuples(lives("a"), lives("b")).map(list) | lives("a").map(lambda one: [one])


def counted(history: list[Life], since: int, until: int) -> Timeline:
    seen = [life.within(since, until) for life in history]
    known = {life.target: life.scrapes for life in seen if life.ticks}
    pulse = np.array(sorted({one.at for life in seen for one in life.ticks}), np.int64)
    return timeline([life.series for life in seen], known, pulse, since, until)


def window(history: list[Life], start: int, end: int) -> int | None:
    """From no more than the window and its surroundings, as every run computes it."""
    found = counted(history, start - HORIZON, end + HORIZON)
    if found.missing(start, end):
        return None
    return int(found.events(np.array([start, end]))[0])


def oracle(history: list[Life], start: int, end: int) -> int | None:
    """The definition, moment by moment, with everything that there ever was in view."""
    every = sorted(one.at for life in history for one in life.ticks)
    events, unknown = 0, list[tuple[int, int]]()
    for before, after in zip([-(10**12), *every], [*every, 10**12], strict=True):
        if after - before > HORIZON:
            unknown.append((before, after))
    for life in history:
        good = [one.at for one in life.ticks if one.how == "good"]
        bad = [one.at for one in life.ticks if one.how == "bad"]
        for before, after in zip([-(10**12), *good], [*good, 10**12], strict=True):
            if after - before > HORIZON:
                unknown += [
                    (max(before, at - HORIZON), min(after, at + HORIZON)) for at in bad if before < at < after
                ]
        last = None
        for one in life.ticks:
            if one.how != "good" or one.value is None:
                continue
            if last is not None and one.at - last.at <= HORIZON:
                more = one.value - last.value if one.value >= last.value else one.value
            elif any(one.at - HORIZON <= at < one.at for at in good) or (
                one.started is not None and one.at - HORIZON <= one.started <= one.at
            ):
                more = one.value
            else:
                more = 0
                unknown.append((one.at - HORIZON, one.at))
            last = one
            if start < one.at <= end:
                events += more
    return None if any(after < end and until > start for after, until in unknown) else events


@st.composite
def cuts(draw: st.DrawFn, history: list[Life]) -> list[int]:
    """Moments that cut the history, some of them at the very time of a scrape."""
    first, last = times_around(history)
    scraped = [one.at for life in history for one in life.ticks]
    moment = st.integers(first - INTERVAL, last + INTERVAL)
    found = draw(st.lists(moment | st.sampled_from(scraped) if scraped else moment, min_size=2, max_size=9))
    return sorted(set(found))


def parts_add_up(data: st.DataObject) -> None:
    history = data.draw(HISTORIES)
    at = data.draw(cuts(history))
    if len(at) < 2:
        return
    parts = [window(history, start, end) for start, end in itertools.pairwise(at)]
    whole = window(history, at[0], at[-1])
    known = [part for part in parts if part is not None]
    assert whole == (sum(known) if len(known) == len(parts) else None)


def oracle_agrees(data: st.DataObject) -> None:
    history = data.draw(HISTORIES)
    at = data.draw(cuts(history))
    for start, end in itertools.pairwise(at):
        assert window(history, start, end) == oracle(history, start, end)


def one_look_is_enough(data: st.DataObject) -> None:
    """A backfill of a month in one run, and the hourly runs."""
    history = data.draw(HISTORIES)
    at = data.draw(cuts(history))
    if len(at) < 2:
        return
    found = counted(history, at[0] - HORIZON, at[-1] + HORIZON)
    sums = found.events(np.array(at))
    for number, (start, end) in enumerate(itertools.pairwise(at)):
        alone = window(history, start, end)
        assert (None if found.missing(start, end) else int(sums[number])) == alone


PROPERTIES = (parts_add_up, oracle_agrees, one_look_is_enough)


@pytest.mark.parametrize(
    "examples", [60, pytest.param(3000, marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("holds", PROPERTIES)
def test_whatever_happened(holds: Callable[[st.DataObject], None], examples: int) -> None:
    settings(max_examples=examples, deadline=None)(given(st.data())(holds))()


# --- what each rule is for --------------------------------------------------------------------------------

TARGET = (("instance", "a"), ("job", "product"))
LABELS = (("__name__", "events_total"), *TARGET)
SINCE, START, END, UNTIL = 0, HORIZON, HORIZON + 3_600_000, 2 * HORIZON + 3_600_000


def every(step: int = 60_000, since: int = 60_000, until: int = UNTIL) -> list[int]:
    return list(range(since, until + 1, step))


def count(samples: dict[int, int], scrapes: Scrapes | None = None) -> int | None:
    times = np.array(sorted(samples), np.int64)
    series = Series(LABELS, times, np.array([samples[one] for one in times.tolist()], np.int64))
    seen = scrapes or Scrapes(np.array(every(), np.int64))
    found = timeline([series], {TARGET: seen}, np.union1d(seen.good, seen.bad), SINCE, UNTIL)
    if found.missing(START, END):
        return None
    return int(found.events(np.array([START, END]))[0])


def times(*found: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(found, np.int64)


def test_what_increase_loses_between_two_hours_is_counted() -> None:
    before, after = dict.fromkeys(every(until=START), 0), dict.fromkeys(every(since=START + 30000), 100)
    assert count({**before, **after}, Scrapes(times(*sorted([*before, *after])))) == 100


def test_a_reset_counts_from_zero() -> None:
    samples = {one: 1000 + one // 60_000 for one in every()}
    samples |= {one: (one - 1_200_000) // 60_000 for one in every(since=1_200_000)}
    assert count(samples) == (19 - 5) + 0 + (65 - 20)


def test_a_label_that_is_born_counts_its_first_value() -> None:
    assert count(dict.fromkeys(every(since=1200000), 7)) == 7


def test_a_process_that_has_just_started_counts_its_first_value() -> None:
    at = every(since=1_200_000)
    told = Scrapes(times(*at), told=times(*at), started=np.full(len(at), 1_190_000, np.int64))
    pulse = times(*every())
    series = Series(LABELS, times(*at), np.full(len(at), 7, np.int64))
    found = timeline([series], {TARGET: told}, pulse, SINCE, UNTIL)
    assert found.missing(START, END) is None
    assert found.events(times(START, END)).tolist() == [7]
    silent = timeline([series], {TARGET: Scrapes(times(*at))}, pulse, SINCE, UNTIL)
    assert silent.missing(START, END) is not None


@pytest.mark.parametrize("skew", [-600_000, 600_000])
def test_a_process_whose_clock_is_off_is_not_believed(skew: int) -> None:
    """Its first value may be old: the window is unknown, until the clocks agree about a later start."""
    at = every(since=1_200_000)
    told = Scrapes(times(*at), told=times(*at), started=np.full(len(at), 1_190_000 + skew, np.int64))
    series = Series(LABELS, times(*at), np.full(len(at), 7, np.int64))
    found = timeline([series], {TARGET: told}, times(*every()), SINCE, UNTIL)
    assert found.missing(START, END) is not None
    assert found.events(times(START, END)).tolist() == [0]


def test_a_target_that_was_taken_away_has_ended() -> None:
    at = every(until=1_200_000)
    pulse = times(*every())
    series = Series(LABELS, times(*at), np.arange(len(at), dtype=np.int64))
    found = timeline([series], {TARGET: Scrapes(times(*at))}, pulse, SINCE, UNTIL)
    assert found.missing(START, END) is None


@pytest.mark.parametrize("bad", [[], every(since=1_260_000, until=2_400_000)])
def test_nothing_scraped_for_long_is_unknown(bad: list[int]) -> None:
    good = [one for one in every() if not 1_200_000 < one <= 2_400_000]
    assert count({one: one // 60_000 for one in good}, Scrapes(times(*good), times(*bad))) is None


def test_a_few_failed_scrapes_lose_nothing() -> None:
    bad = every(since=1_260_000, until=1_440_000)
    good = [one for one in every() if one not in bad]
    assert count({one: one // 60_000 for one in good}, Scrapes(times(*good), times(*bad))) == 60
