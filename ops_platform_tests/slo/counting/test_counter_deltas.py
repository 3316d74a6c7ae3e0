"""Windows add up to the last event or say that they are unknown; a plain oracle agrees on every one."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.slo.counting import counter_falls
from ops_platform.slo.counting.counter_deltas import Timeline, timeline
from ops_platform.slo.counting.counter_falls import SKEW
from ops_platform.slo.counting.samples import Labels, Series, Times
from ops_platform.slo.counting.scrapes import HORIZON, JITTER, VIEW, Scrapes
from ops_platform_tests import hypothesis_profile
from ops_platform_tests.slo.histories import INTERVAL, Life, Tick, lives, times_around

HISTORIES = st.tuples(lives("a"), lives("b")).map(list) | lives("a").map(lambda one: [one])


def counted(history: list[Life], since: int, until: int) -> Timeline:
    seen = [life.within(since, until) for life in history]
    known = {life.target: life.scrapes for life in seen if life.ticks}
    pulse = np.array(sorted({one.at for life in seen for one in life.ticks}), np.int64)
    series = [one for life in seen for one in life.series]
    fell = {life.target: counter_falls.reset_times(life.series, life.scrapes) for life in seen}
    return timeline(series, known, fell, pulse, since, until)


def window(history: list[Life], start: int, end: int) -> int | None:
    """From no more than the window and its surroundings, as every run computes it."""
    found = counted(history, start - VIEW, end + VIEW)
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
        unknown += failing(life)
        for name in life.names:
            last = None
            for one in life.ticks:
                value = one.value(name)
                if value is None:
                    continue
                swapped = swapped_at(life, one)
                if swapped:
                    unknown.append((one.at - HORIZON, one.at + HORIZON))
                if last is not None and one.at - last.at <= HORIZON:
                    more = goes_on(life, name, one, last)
                elif provably_new(life, history, name, one, last):
                    more = value
                else:
                    more = None
                if more is None:
                    since = last.at if last is not None and one.at - last.at <= HORIZON else one.at - HORIZON
                    unknown.append((since, one.at))
                    began = last is not None and one.started is not None and last.at < one.started <= one.at
                    gap = last is not None and one.at - last.at > HORIZON
                    if (
                        last is not None
                        and value < (last.value(name) or 0)
                        and not (gap and (began or not value))
                    ):
                        unknown.append((since, back_at(life, name, one, last) or doubted_to(one, last)))
                    more = 0
                if start < one.at <= end:
                    events += more
                last = one
    return None if any(after < end and until > start for after, until in unknown) else events


def failing(life: Life) -> list[tuple[int, int]]:
    found = []
    good = [one.at for one in life.ticks if one.how == "good"]
    for bad in [one.at for one in life.ticks if one.how == "bad"]:
        before = max((at for at in good if at < bad), default=-(10**12))
        after = min((at for at in good if at > bad), default=10**12)
        tried = [one.at for one in life.ticks]
        appearing = after - bad <= HORIZON and not any(
            after - 2 * HORIZON <= at <= after - HORIZON for at in tried
        )
        going = bad - before <= HORIZON and not any(
            before + HORIZON <= at <= before + 2 * HORIZON for at in tried
        )
        if after - before > HORIZON and not appearing and not going:
            found.append((max(before, bad - HORIZON), min(after, bad + HORIZON)))
    return found


def goes_on(life: Life, name: str, one: Tick, last: Tick) -> int | None:
    """What was added between two samples of a series; None: that cannot be told."""
    value, before = one.value(name) or 0, last.value(name) or 0
    between = [each for each in life.ticks if last.at <= each.at <= one.at and each.how == "good"]
    began = has_begun(one, last)
    if value < before:
        if one.started is None:
            believed = 2 * value <= before and not returns(life, name, one, last)
            return value if believed else None
        return value if began else None
    if before == 0:
        more = value
    else:
        others = any(
            fell_at(life, other, each) for other in life.names for each in between if last.at < each.at
        )
        if began != others:
            return None
        more = value if began else value - before
    if len(between) > 2 and value > before and renamed(life, name, one):
        return None
    return more


def has_begun(one: Tick, last: Tick) -> bool:
    """Does its process say at ``one`` that it began since ``last``, as it did not then?"""
    if one.started is None or last.started is None:
        return False
    return one.started - last.started > JITTER and last.at - SKEW < one.started <= one.at + SKEW


def swapped_at(life: Life, one: Tick) -> bool:
    before = [each for each in life.ticks if each.at < one.at and each.how == "good"]
    if not before or one.started is None or before[-1].started is None or one.at - before[-1].at > HORIZON:
        return False
    return abs(one.started - before[-1].started) > JITTER and not has_begun(one, before[-1])


def back_at(life: Life, name: str, one: Tick, last: Tick) -> int | None:
    for each in life.ticks:
        value = each.value(name)
        near = one.at < each.at <= doubted_to(one, last)
        if near and value is not None and value >= (last.value(name) or 0):
            return each.at
    return None


def doubted_to(one: Tick, last: Tick) -> int:
    """A dip can be seen for as long as what was before it."""
    return last.at + VIEW if one.at - last.at <= HORIZON else one.at + HORIZON


def returns(life: Life, name: str, one: Tick, last: Tick) -> bool:
    """Soon, or later and at once: what counts anew comes there by small steps."""
    back = back_at(life, name, one, last)
    if back is None or back <= one.at + HORIZON:
        return back is not None
    shown = {each.at: each.value(name) for each in life.ticks if each.value(name) is not None}
    rise = (shown[back] or 0) - (shown[max(at for at in shown if at < back)] or 0)
    return 2 * rise > (last.value(name) or 0) - (one.value(name) or 0)


def fell_at(life: Life, name: str, one: Tick) -> bool:
    """Was it reset then, as far as that is proven?"""
    value = one.value(name)
    shown = [
        each for each in life.ticks if one.at - HORIZON <= each.at < one.at and each.value(name) is not None
    ]
    if value is None or not shown or value >= (shown[-1].value(name) or 0):
        return False
    return goes_on(life, name, one, shown[-1]) is not None


def provably_new(life: Life, history: list[Life], name: str, one: Tick, last: Tick | None) -> bool:
    """``one`` shows the series for the first time within HORIZON; ``last`` did before."""
    value = one.value(name) or 0
    if value == 0 and last is None:
        return True
    just = [each for each in life.ticks if one.at - HORIZON <= each.at < one.at and each.how == "good"]
    starts = one.started if one.started is not None and one.started <= one.at else None
    if not just and (starts is None or starts < one.at - HORIZON):
        return False
    if value == 0:
        return True
    if last is not None and (starts is None or starts <= last.at):
        before = last.value(name) or 0
        dipped = one.started is not None or 2 * value > before or back_at(life, name, one, last) is not None
        if value >= before or dipped:
            return False
    if renamed(life, name, one):
        return False
    return bool(just) or not any(relayed(other, name, one) for other in history if other is not life)


def renamed(life: Life, name: str, one: Tick) -> bool:
    """Could it go on with what another one counted?"""
    value = one.value(name) or 0
    if any(fell_at(life, each, one) for each in life.names):
        return False
    starts = one.started if one.started is not None and one.started <= one.at else None
    for other in life.names:
        shown = [
            each
            for each in life.ticks
            if one.at - HORIZON <= each.at < one.at and each.value(other) is not None
        ]
        gone = one.value(other) is None and shown and (shown[-1].value(other) or 0) <= value
        if gone and (starts is None or shown[-1].at >= starts):
            return True
    return False


def relayed(other: Life, name: str, one: Tick) -> bool:
    """Did the same series of another instance end just before, with no more?"""
    shown = [each for each in other.ticks if each.value(name) is not None]
    before = [each for each in shown if each.at < one.at]
    if not before or before[-1].at < one.at - HORIZON:
        return False
    after = [each.at for each in shown if each.at >= one.at]
    ended = not after or after[0] - before[-1].at > HORIZON
    return ended and 0 < (before[-1].value(name) or 0) <= (one.value(name) or 0)


def cuts(history: list[Life]) -> st.SearchStrategy[list[int]]:
    """Moments that cut the history, some of them at the very time of a scrape."""
    first, last = times_around(history)
    scraped = [one.at for life in history for one in life.ticks]
    moment = st.integers(first - INTERVAL, last + INTERVAL)
    moments = moment | st.sampled_from(scraped) if scraped else moment
    return st.lists(moments, min_size=2, max_size=9, unique=True).map(sorted)


Known = Callable[[int, int], int | None]
"""Events from one moment to another, as ``window`` says it; None where they are unknown."""


def parts_add_up(history: list[Life], at: list[int], known: Known) -> None:
    parts = [known(start, end) for start, end in itertools.pairwise(at)]
    summed = [part for part in parts if part is not None]
    assert known(at[0], at[-1]) == (sum(summed) if len(summed) == len(parts) else None)


def oracle_agrees(history: list[Life], at: list[int], known: Known) -> None:
    for start, end in itertools.pairwise(at):
        assert known(start, end) == oracle(history, start, end)


def one_look_is_enough(history: list[Life], at: list[int], known: Known) -> None:
    """A backfill of a month in one run, and the hourly runs."""
    found = counted(history, at[0] - VIEW, at[-1] + VIEW)
    sums = found.events(np.array(at))
    for number, (start, end) in enumerate(itertools.pairwise(at)):
        assert (None if found.missing(start, end) else int(sums[number])) == known(start, end)


def nothing_counts_twice(history: list[Life], at: list[int], known: Known) -> None:
    """Whatever comes back or is named anew: no window shows more than ever happened."""
    for start, end in itertools.pairwise(at):
        assert (known(start, end) or 0) <= sum(life.happened for life in history)


PROPERTIES = (parts_add_up, oracle_agrees, one_look_is_enough, nothing_counts_twice)


@pytest.mark.parametrize(
    "examples", [30, pytest.param(400, marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
def test_whatever_happened(examples: int) -> None:
    """All properties of each example: to make a history takes ten times as long as to count it."""

    @settings(max_examples=hypothesis_profile.examples(examples))
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        history = data.draw(HISTORIES)
        at = data.draw(cuts(history))
        known = functools.cache(functools.partial(window, history))
        for holds in PROPERTIES:
            holds(history, at, known)

    hold()


# --- what each rule is for --------------------------------------------------------------------------------

TARGET: Labels = (("instance", "a"), ("job", "product"))
LABELS = (("__name__", "events_total"), *TARGET)
SINCE, START, END, UNTIL = 0, VIEW, VIEW + 3_600_000, 2 * VIEW + 3_600_000


def every(step: int = 60_000, since: int = 60_000, until: int = UNTIL) -> list[int]:
    return list(range(since, until + 1, step))


def count(samples: dict[int, int], scrapes: Scrapes | None = None) -> int | None:
    times = np.array(sorted(samples), np.int64)
    series = Series(LABELS, times, np.array([samples[one] for one in times.tolist()], np.int64))
    seen = scrapes or Scrapes(np.array(every(), np.int64))
    found = lined([series], seen, np.union1d(seen.good, seen.bad))
    if found.missing(START, END):
        return None
    return int(found.events(np.array([START, END]))[0])


def lined(series: list[Series], seen: Scrapes, pulse: Times | None = None, until: int = UNTIL) -> Timeline:
    """Of one target."""
    fell = {TARGET: counter_falls.reset_times(series, seen)}
    return timeline(series, {TARGET: seen}, fell, times(*every()) if pulse is None else pulse, SINCE, until)


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
    told = Scrapes(times(*at), reported_at=times(*at), reported_starts=np.full(len(at), 1_190_000, np.int64))
    pulse = times(*every())
    series = Series(LABELS, times(*at), np.full(len(at), 7, np.int64))
    found = lined([series], told, pulse)
    assert found.missing(START, END) is None
    assert found.events(times(START, END)).tolist() == [7]
    silent = lined([series], Scrapes(times(*at)), pulse)
    assert silent.missing(START, END) is not None


@pytest.mark.parametrize("skew", [-600_000, 600_000])
def test_a_process_whose_clock_is_off_is_not_believed(skew: int) -> None:
    """Its first value may be old: the window is unknown, until the clocks agree about a later start."""
    at = every(since=1_200_000)
    told = Scrapes(
        times(*at), reported_at=times(*at), reported_starts=np.full(len(at), 1_190_000 + skew, np.int64)
    )
    series = Series(LABELS, times(*at), np.full(len(at), 7, np.int64))
    found = lined([series], told)
    assert found.missing(START, END) is not None
    assert found.events(times(START, END)).tolist() == [0]


def test_a_target_that_was_taken_away_has_ended() -> None:
    at = every(until=1_200_000)
    pulse = times(*every())
    series = Series(LABELS, times(*at), np.arange(len(at), dtype=np.int64))
    found = lined([series], Scrapes(times(*at)), pulse)
    assert found.missing(START, END) is None


@pytest.mark.parametrize("bad", [[], every(since=1_260_000, until=2_400_000)])
def test_nothing_scraped_for_long_is_unknown(bad: list[int]) -> None:
    good = [one for one in every() if not 1_200_000 < one <= 2_400_000]
    assert count({one: one // 60_000 for one in good}, Scrapes(times(*good), times(*bad))) is None


def test_a_few_failed_scrapes_lose_nothing() -> None:
    bad = every(since=1_260_000, until=1_440_000)
    good = [one for one in every() if one not in bad]
    assert count({one: one // 60_000 for one in good}, Scrapes(times(*good), times(*bad))) == 60


# --- who begins, who comes back, who is only named anew ---------------------------------------------------


def named(code: str, samples: dict[int, int], earlier: tuple[int, int] | None = None) -> Series:
    at = times(*sorted(samples))
    values = np.array([samples[one] for one in at.tolist()], np.int64)
    labels = (("__name__", "events_total"), ("code", code), *TARGET)
    return Series(labels, at, values, earlier is not None, earlier)


def of_target(*series: Series, started: int | None = None) -> int | None:
    seen = times(*every())
    scrapes = Scrapes(seen)
    if started is not None:
        scrapes = Scrapes(seen, reported_at=seen, reported_starts=np.full(seen.size, started, np.int64))
    found = lined(list(series), scrapes, seen)
    return None if found.missing(START, END) else int(found.events(times(START, END))[0])


BACK = 2_400_000


@pytest.mark.parametrize(
    ("earlier", "started", "events"),
    [
        pytest.param((-5_000_000, 900), None, None, id="its counter may have gone on unseen"),
        pytest.param((-5_000_000, 900), -6_000_000, None, id="in a process that ran all the while"),
        pytest.param((-5_000_000, 900), -4_000_000, 1000, id="in a process that began since"),
        pytest.param((-5_000_000, 2000), None, 1000, id="with less than it had: it began anew"),
        pytest.param(None, None, 1000, id="it was never there"),
    ],
)
def test_a_series_that_comes_back(
    earlier: tuple[int, int] | None, started: int | None, events: int | None
) -> None:
    """Hidden by a rule for relabelling, or forgotten by an exporter, while its target was scraped."""
    back = named("200", dict.fromkeys(every(since=BACK), 1000), earlier)
    assert of_target(back, started=started) == events
    if earlier is not None:
        # The same when the reading reaches back far enough to see it go.
        shift = 6_000_000
        seen = times(*every(until=UNTIL + shift))
        told = Scrapes(seen)
        if started is not None:
            told = Scrapes(
                seen, reported_at=seen, reported_starts=np.full(seen.size, started + shift, np.int64)
            )
        again = dict.fromkeys(every(since=BACK + shift, until=UNTIL + shift), 1000)
        both = named("200", {earlier[0] + shift: earlier[1]} | again)
        found = lined([both], told, seen, UNTIL + shift)
        window = times(START + shift, END + shift)
        lost = found.missing(START + shift, END + shift)
        assert (None if lost else int(found.events(window)[0])) == events


def test_a_series_that_is_named_anew_may_go_on() -> None:
    old = named("200", {one: one // 60_000 for one in every(until=BACK - 60_000)})
    new = {one: one // 60_000 for one in every(since=BACK)}
    assert of_target(old, named("2xx", new)) is None
    # In a new process it began with zero.
    assert of_target(old, named("2xx", new), started=BACK - 30_000) == (39 - 10) + 40 + (70 - 40)
    # With less than the old one had, it is another.
    assert of_target(old, named("2xx", dict.fromkeys(new, 1))) == (39 - 10) + 1
    # And another one that began anew in the same scrape proves a new process.
    other = named("500", {one: 50 if one < BACK else 0 for one in every()})
    assert of_target(old, other, named("2xx", new)) == (39 - 10) + 40 + (70 - 40)


@pytest.mark.parametrize(
    ("bad", "good", "known"),
    [
        pytest.param((1_200_000, 1_260_000), (1_320_000, UNTIL), True, id="appears, and answers late"),
        pytest.param((2_460_000, 2_520_000), (60_000, 2_400_000), True, id="is about to go"),
        pytest.param((1_200_000, 1_740_000), (1_800_000, UNTIL), False, id="answers much later"),
        pytest.param((2_460_000, 3_000_000), (60_000, 2_400_000), False, id="does not go"),
    ],
)
def test_who_starts_or_stops_is_scraped_in_vain_once_or_twice(
    bad: tuple[int, int], good: tuple[int, int], known: bool
) -> None:
    at = every(since=good[0], until=good[1])
    start = at[0] - 10_000
    scrapes = Scrapes(
        times(*at),
        times(*every(since=bad[0], until=bad[1])),
        times(*at),
        np.full(len(at), start, np.int64),
    )
    found = lined([named("200", {one: one // 60_000 for one in at})], scrapes)
    assert (found.missing(START, END) is None) is known
