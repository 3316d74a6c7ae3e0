"""Samples of gauges and slices of time: exact where all was seen, else between bounds that hold the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting import event_count, exclusions, reader
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.counting.kinds import measure
from ops_platform.slo.counting.kinds.time_slices import slice_bounds
from ops_platform.slo.counting.range_query import moment
from ops_platform.slo.counting.samples import Mask, Times
from ops_platform.slo.counting.scrapes import HORIZON, VIEW
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import (
    AnyIndicator,
    GaugeIndicator,
    Indicator,
    Objective,
    Period,
    Slicing,
    promql,
)
from ops_platform.slo.objectives.indicator import PARTS
from ops_platform_tests import hypothesis_profile
from ops_platform_tests.slo.counting.stored import BASE, EDGES, SECONDS, TIMES, Memory, Stored

JOB, INSTANCE = "probe", "a:1"
Numbers = NDArray[np.int64] | NDArray[np.float64]
PROBE = GaugeIndicator(promql.gauge("probe_success"), "gte", Fraction(1))
MINUTE = Slicing(60, Fraction(95, 100))
SLICINGS = [MINUTE, Slicing(300), Slicing(600, Fraction(1, 2))]
Masks = Mapping[Any, Mask]


def counted(
    indicator: AnyIndicator,
    *data: Stored,
    edges: Sequence[int] = EDGES,
    excluded: Sequence[Exclusion] = (),
    replica_labels: Sequence[str] = (),
) -> list[WindowCount]:
    is_gauge = isinstance(indicator, GaugeIndicator)
    reading = reader.read(
        cast(Prometheus, Memory(data, replica_labels)),
        () if is_gauge else indicator.selectors,
        moment(edges[0] - VIEW),
        moment(edges[-1] + VIEW),
        indicator.selectors if is_gauge else (),
    )
    bounds = [moment(edge) for edge in edges]
    if not excluded:
        return measure.count(indicator, reading, bounds)
    one = Objective("s", "n", "", "", Fraction(9, 10), indicator, Period("rolling", 30))
    return exclusions.count(one, reading, bounds, excluded)


def gauge(values: Numbers, times: Times = TIMES, name: str = "probe_success", **labels: str) -> Stored:
    shown = np.broadcast_to(values, times.shape).astype(float).tolist()
    samples = list(zip((times / 1000).tolist(), shown, strict=True))
    return Stored({"__name__": name, "job": JOB, "instance": INSTANCE, **labels}, samples)


UP = gauge(np.ones(TIMES.size), name="up")


def at(minute: float, hour: int = 0) -> int:
    return EDGES[hour] + round(minute * 60_000)


def down(*spans: tuple[int, int]) -> Times:
    """Find the scrapes in these spans of time, which are to fail."""
    return np.concatenate([TIMES[(low < TIMES) & (high >= TIMES)] for low, high in spans])


def test_every_sample_of_a_boolean_gauge_counts() -> None:
    values = np.ones(TIMES.size, np.int64)
    values[np.isin(TIMES, down((at(10), at(11)), (at(5, 1), at(5.25, 1))))] = 0
    counts = counted(PROBE, UP, gauge(values))
    assert [(one.good, one.total, one.state) for one in counts] == [
        (236, 240, "ok"),
        (239, 240, "ok"),
        (240, 240, "ok"),
    ]
    sliced = counted(replace(PROBE, slicing=MINUTE), UP, gauge(values))
    assert [(one.good, one.total) for one in sliced] == [(59, 60), (59, 60), (60, 60)]


def test_a_scrape_that_failed_is_a_sample_that_nobody_saw() -> None:
    """Not one that succeeded, nor one that did not."""
    lost = down((at(10), at(12)))
    kept = TIMES[~np.isin(TIMES, lost)]
    up = gauge((~np.isin(TIMES, lost)).astype(np.int64), name="up")
    [first, second, _] = counted(PROBE, up, gauge(np.ones(kept.size, np.int64), kept))
    assert (first.state, first.bounds) == ("bounded", Bounds(232, 240, 0, 8))
    assert "cannot be scraped" in (first.reason or "")
    assert (second.good, second.total) == (240, 240)
    [sliced, *_] = counted(replace(PROBE, slicing=MINUTE), up, gauge(np.ones(kept.size, np.int64), kept))
    assert sliced.bounds == Bounds(58, 60, 0, 2)
    # A sample that is missing among good scrapes, too.
    [hidden, *_] = counted(PROBE, UP, gauge(np.ones(kept.size, np.int64), kept))
    assert hidden.bounds == Bounds(232, 240, 0, 8)


def test_a_prometheus_that_is_away_leaves_bounds_and_one_without_the_metric_none() -> None:
    lost = down((at(10), at(17)))
    kept = TIMES[~np.isin(TIMES, lost)]
    [first, *_] = counted(
        PROBE, gauge(np.ones(kept.size), kept, "up"), gauge(np.ones(kept.size, np.int64), kept)
    )
    assert first.bounds == Bounds(212, 240, 0, 28)
    gone = TIMES[at(10) >= TIMES]
    counts = counted(PROBE, UP, gauge(np.ones(gone.size, np.int64), gone))
    assert [one.state for one in counts] == ["source_missing"] * 3
    assert "no series of probe_success" in (counts[1].reason or "")
    # A slice is one slice, whatever was in it.
    sliced = counted(replace(PROBE, slicing=MINUTE), UP, gauge(np.ones(gone.size, np.int64), gone))
    assert [one.bounds for one in sliced] == [
        Bounds(10, 60, 0, 50),
        Bounds(0, 60, 0, 60),
        Bounds(0, 60, 0, 60),
    ]


def test_a_target_that_goes_on_and_no_longer_shows_its_gauge_is_not_seen() -> None:
    """For as long as it goes on: in hours of which it shows nothing, too. If it is back, till then."""
    other = (
        gauge(np.ones(TIMES.size), name="up", instance="b:1"),
        gauge(np.ones(TIMES.size), instance="b:1"),
    )
    gone, away = TIMES[at(20) >= TIMES], TIMES[(at(20) >= TIMES) | (at(8, 1) < TIMES)]
    counts = counted(PROBE, UP, *other, gauge(np.ones(gone.size), gone))
    assert [one.bounds for one in counts] == [
        Bounds(320, 480, 0, 160),
        Bounds(240, 480, 0, 240),
        Bounds(240, 480, 0, 240),
    ]
    assert "shows no probe_success" in (counts[0].reason or "")
    assert "no longer shows probe_success" in (counts[2].reason or "")
    for edges in (EDGES[1:3], EDGES[2:]):
        [alone] = counted(PROBE, UP, *other, gauge(np.ones(gone.size), gone), edges=edges)
        assert alone.bounds == Bounds(240, 480, 0, 240)
    counts = counted(PROBE, UP, *other, gauge(np.ones(away.size), away))
    assert [one.bounds for one in counts] == [Bounds(320, 480, 0, 160), Bounds(448, 480, 0, 32), None]
    # Of a new process there is none until it shows it.
    starts = gauge(np.where(at(20) < TIMES, at(20.1), BASE) / 1000, name="process_start_time_seconds")
    counts = counted(PROBE, UP, *other, gauge(np.ones(gone.size), gone), starts)
    assert [(one.good, one.total) for one in counts] == [(320, 320), (240, 240), (240, 240)]
    # What is computed of both of them lacks its part: 50 and 1 are not below 10.
    lag = GaugeIndicator(promql.gauge("sum(min_over_time(lag[2m]))"), "lt", Fraction(10), slicing=MINUTE)
    data = (
        gauge(np.full(gone.size, 50), gone, name="lag"),
        replace(other[1], labels={**other[1].labels, "__name__": "lag"}),
    )
    assert [one.good for one in counted(lag, UP, other[0], *data)] == [None] * 3
    # A part of an hour is seen as the hour is: without a maintenance there may be as many bad ones.
    excluded = [Exclusion("s", None, moment(at(30)), moment(at(35)))]
    back = TIMES[(at(20) >= TIMES) | (at(55) < TIMES)]
    [first, *_] = counted(PROBE, UP, *other, gauge(np.ones(back.size), back), excluded=excluded)
    assert first.bounds == Bounds(340, 480, 0, 140)
    assert first.adjusted_bounds == Bounds(320, 440, 0, 120)


def test_a_target_that_is_down_lacks_as_many_samples_as_it_had_series() -> None:
    """However long it is down, and whatever others show meanwhile."""
    lost = down((at(5), at(55, 2)))
    kept = TIMES[~np.isin(TIMES, lost)]
    up = gauge((~np.isin(TIMES, lost)).astype(np.int64), name="up")
    other = (
        gauge(np.ones(TIMES.size), name="up", instance="b:1"),
        gauge(np.ones(TIMES.size), instance="b:1"),
    )
    three = [gauge(np.ones(kept.size), kept, n=str(number)) for number in range(3)]
    counts = counted(PROBE, up, *other, *three)
    assert [one.bounds for one in counts] == [
        Bounds(300, 960, 0, 660),
        Bounds(240, 960, 0, 720),
        Bounds(300, 960, 0, 660),
    ]
    # Each of its values at a full minute, too, and one where there is only one.
    each = GaugeIndicator(promql.gauge("max_over_time(probe_success[1m])"), "gte", Fraction(1))
    for text, bad in ((str(each.gauge), 180), ("max(max_over_time(probe_success[1m]))", 60)):
        counts = counted(replace(each, gauge=promql.gauge(text)), up, *other, *three)
        assert counts[1].bounds is not None
        assert bad <= counts[1].bounds.bad_most <= 2 * bad
    # One that never showed any could show as many as the others of its job.
    never = gauge(np.zeros(TIMES.size), name="up", instance="c:1")
    counts = counted(PROBE, UP, never, *(gauge(np.ones(TIMES.size), n=str(number)) for number in range(3)))
    assert counts[0].bounds == Bounds(720, 1440, 0, 720)


def test_what_is_no_number_or_no_share_is_not_known() -> None:
    values = np.ones(TIMES.size)
    values[np.isin(TIMES, down((at(10), at(10.25))))] = np.nan
    [first, second, _] = counted(PROBE, UP, gauge(values))
    assert first.bounds == Bounds(239, 240, 0, 1)
    assert second.total == 240
    share = GaugeIndicator(promql.gauge("probe_success"))
    [first, *_] = counted(share, UP, gauge(np.full(TIMES.size, 0.64)))
    assert (first.good, first.total) == (240 * 640_000, 240 * PARTS)
    [first, *_] = counted(replace(share, inverted=True), UP, gauge(np.full(TIMES.size, 0.05)))
    assert (first.good, first.total) == (240 * 950_000, 240 * PARTS)
    [first, *_] = counted(share, UP, gauge(np.full(TIMES.size, 7)))
    assert first.bounds == Bounds(0, 240 * PARTS, 0, 240 * PARTS)


def test_a_label_that_only_the_application_has_names_no_replica() -> None:
    """Dropping its series would drop the bad samples."""
    data = (UP, gauge(np.ones(TIMES.size)), gauge(np.zeros(TIMES.size), replica="s1"))
    counts = counted(PROBE, *data, replica_labels=("replica",))
    assert [one.state for one in counts] == ["source_missing"] * 3
    assert "those are different series" in (counts[0].reason or "")
    computed = GaugeIndicator(promql.gauge("sum(probe_success)"), "gte", Fraction(1))
    assert counted(computed, *data, replica_labels=("replica",))[0].good is None
    replicas = [
        replace(one, labels={**one.labels, "replica": name}) for one in data[:2] for name in ("r1", "r2")
    ]
    assert counted(PROBE, *replicas, replica_labels=("replica",))[0].good == 240


LAG = GaugeIndicator(promql.gauge("sum(min_over_time(lag[2m]))"), "lt", Fraction(100), slicing=MINUTE)


def test_a_computed_gauge_is_what_promql_makes_of_it() -> None:
    random = np.random.default_rng(3)
    one, other = (random.integers(0, 110, TIMES.size) for _ in range(2))
    counts = counted(LAG, UP, gauge(one, name="lag", p="1"), gauge(other, name="lag", p="2"))

    def value(end: int) -> int:
        seen = (end - 120_000 < TIMES) & (end >= TIMES)
        return int(one[seen].min() + other[seen].min())

    for number, count in enumerate(counts):
        ends = range(EDGES[number] + 60_000, EDGES[number + 1] + 1, 60_000)
        good = sum(value(end) < 100 for end in ends)
        assert 0 < good < 60 or good == 60
        assert (count.good, count.total) == (good, 60)
    # One scrape that failed: the two minutes that look back on it.
    lost = down((at(10), at(10.25)))
    kept = ~np.isin(TIMES, lost)
    up = gauge(kept.astype(np.int64), name="up")
    [first, *_] = counted(LAG, up, gauge(one[kept], TIMES[kept], name="lag", p="1"))
    assert first.bounds is not None
    assert first.bounds.good_most - first.bounds.good_least == 2


ERRORS = Indicator(promql.events("e_total").counter, bad=promql.events('e_total{code="500"}').counter)


def test_slices_of_counters_are_what_their_events_are() -> None:
    random = np.random.default_rng(5)
    bad, good = random.integers(0, 2, TIMES.size), random.integers(0, 20, TIMES.size)
    data = (
        UP,
        gauge(np.cumsum(good), name="e_total", code="200"),
        gauge(np.cumsum(bad), name="e_total", code="500"),
    )
    by_target = counted(replace(ERRORS, slicing=MINUTE), *data)
    by_share = counted(replace(ERRORS, slicing=Slicing(300)), *data)
    for number in range(3):
        shares: dict[int, list[Fraction]] = {60_000: [], 300_000: []}
        for length, found in shares.items():
            for end in range(EDGES[number] + length, EDGES[number + 1] + 1, length):
                seen = (end - length < TIMES) & (end >= TIMES)
                total = int(good[seen].sum() + bad[seen].sum())
                found += [Fraction(int(good[seen].sum()), total)] if total else []
        minutes = shares[60_000]
        assert (by_target[number].good, by_target[number].total) == (
            sum(share >= MINUTE.target for share in minutes if MINUTE.target is not None),
            len(minutes),
        )
        assert by_share[number].good == sum(int(share * PARTS) for share in shares[300_000])
        assert by_share[number].total == 12 * PARTS


def test_slices_in_which_nothing_happened_count_neither_way_and_unknown_ones_either() -> None:
    still = replace(ERRORS, slicing=MINUTE)
    per_scrape = np.zeros(TIMES.size, np.int64)
    per_scrape[np.isin(TIMES, down((at(20), at(30))))] = 1
    [first, second, _] = counted(still, UP, gauge(np.cumsum(per_scrape), name="e_total", code="200"))
    assert (first.good, first.total, second.total, second.state) == (10, 10, 0, "no_data")
    lost = down((at(10), at(18)))
    kept = ~np.isin(TIMES, lost)
    up = gauge(kept.astype(np.int64), name="up")
    [first, *_] = counted(still, up, gauge(SECONDS[kept], TIMES[kept], name="e_total", code="200"))
    assert first.bounds is not None
    assert 50 <= first.bounds.good_least <= 52
    assert first.bounds.bad_least == 0
    assert 8 <= first.bounds.bad_most <= 10


def test_the_hours_of_a_day_are_counted_as_each_by_itself() -> None:
    random = np.random.default_rng(9)
    lost = down((at(10), at(13)), (at(50, 1), at(4, 2)))
    kept = TIMES[~np.isin(TIMES, lost)]
    data = (gauge(np.ones(kept.size), kept, "up"), gauge(random.integers(0, 2, kept.size), kept))
    lag = (gauge(np.ones(kept.size), kept, "up"), gauge(random.integers(0, 2, kept.size), kept, name="lag"))
    for indicator, series in ((PROBE, data), (replace(PROBE, slicing=MINUTE), data), (LAG, lag)):
        together = counted(indicator, *series)
        alone = [counted(indicator, *series, edges=EDGES[number : number + 2])[0] for number in range(3)]
        assert together == alone


def test_an_exclusion_takes_the_slices_that_end_in_it() -> None:
    values = np.ones(TIMES.size, np.int64)
    values[np.isin(TIMES, down((at(10), at(20))))] = 0
    excluded = [Exclusion("s", None, moment(at(10.5)), moment(at(19.5)))]
    for slicing, good, total in ((None, 200, 204), (MINUTE, 50, 51)):
        [first, *_] = counted(replace(PROBE, slicing=slicing), UP, gauge(values), excluded=excluded)
        assert (first.good, first.total) == ((200, 240) if slicing is None else (50, 60))
        assert (first.adjusted_good, first.adjusted_total) == (good, total)


@given(
    st.lists(st.integers(0, 6), min_size=4, max_size=4),
    st.integers(0, 6),
    st.integers(0, 6),
    st.sampled_from([None, Fraction(1, 2), Fraction(95, 100), Fraction(1)]),
)
def test_the_bounds_of_a_slice_hold_whatever_its_events_were(
    edges: list[int], good: int, bad: int, target: Fraction | None
) -> None:
    (good_least, good_most), (bad_least, bad_most) = sorted(edges[:2]), sorted(edges[2:])
    events = Bounds(good_least, good_most, bad_least, bad_most)
    slicing = Slicing(60, target)
    if good_least <= good <= good_most and bad_least <= bad <= bad_most:
        truth, bounds = slice_bounds(Bounds.exactly(good, bad), slicing), slice_bounds(events, slicing)
        assert bounds.good_least <= truth.good_least <= truth.good_most <= bounds.good_most
        assert bounds.bad_least <= truth.bad_least <= truth.bad_most <= bounds.bad_most


TARGETS = {"a:1": ("0", "1"), "b:1": ("0",)}
"""By instance, its series."""
SUM = replace(
    LAG, gauge=promql.gauge("sum(min_over_time(probe_success[2m]))"), value=Fraction(2), slicing=None
)
EACH = replace(SUM, gauge=promql.gauge("avg_over_time(probe_success[1m])"), value=Fraction(1, 2))
KINDS = ["fails a:1", "fails b:1", "away", "hides a:1", "hides b:1", "hides one"]


def excused(seen: Masks, well: Masks, tried: Masks, number: int) -> Masks:
    """Find the samples of an hour of which nothing tells that anybody could have seen them.

    Nobody scrapes for less than five minutes; a series goes, and does not come back in this hour or ten
    minutes after it, while its target shows others, or it had gone long before its target did.
    """
    near = (EDGES[number] - VIEW < TIMES) & (EDGES[number + 1] + VIEW >= TIMES)
    attempts = np.flatnonzero(tried["a:1"])
    found = {}
    for (instance, name), mask in seen.items():
        found[instance, name] = lost = np.zeros(TIMES.size, np.bool_)
        target = np.any([seen[instance, other] for other in TARGETS[instance]], axis=0)
        for index in np.flatnonzero(~mask).tolist():
            before, after = np.flatnonzero(mask[:index]), index + np.flatnonzero(mask[index:] & near[index:])
            if not tried[instance][index]:
                place = int(np.searchsorted(attempts, index))
                low, high = attempts[max(0, place - 1)], attempts[min(place, attempts.size - 1)]
                lost[index] = TIMES[high] - TIMES[low] <= HORIZON
            elif not after.size:
                shows = np.abs(TIMES[target & near] - TIMES[index]).min(initial=2 * VIEW) <= HORIZON
                last, target_last = TIMES[before[-1]], TIMES[np.flatnonzero(target[:index])[-1]]
                earlier = target_last - last >= HORIZON or last <= EDGES[number] - VIEW < target_last
                gone = bool(shows) or (earlier and TIMES[index] - last > VIEW)
                # A scrape that failed lacks what was there shortly before it.
                lost[index] = gone and bool(well[instance][index] or TIMES[index] - last > VIEW)
    return found


@settings(max_examples=hypothesis_profile.examples(25))
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 170), st.integers(1, 180), st.sampled_from(KINDS)), max_size=4),
    st.sampled_from([PROBE, PROBE, PROBE, SUM, EACH, *(replace(PROBE, slicing=one) for one in SLICINGS)]),
    st.booleans(),
)
@example(0, [(20, 180, "hides a:1")], PROBE, True)
@example(0, [(20, 35, "hides a:1")], PROBE, True)
@example(0, [(50, 30, "hides one")], PROBE, False)
@example(1, [(20, 9, "hides a:1")], SUM, False)
@example(0, [(5, 170, "fails a:1")], PROBE, False)
@example(0, [(5, 170, "fails a:1")], EACH, False)
@example(0, [(0, 130, "hides a:1")], EACH, False)
@example(0, [(0, 61, "fails a:1"), (0, 130, "hides one")], PROBE, False)
def test_what_is_known_is_true_and_bounds_hold_what_truly_was(
    seed: int, troubles: list[tuple[int, int, str]], indicator: GaugeIndicator, reports: bool
) -> None:
    """Whatever is not seen is decided by the seed: good or bad."""
    random = np.random.default_rng(seed)
    names = [(instance, name) for instance, series in TARGETS.items() for name in series]
    values = {key: random.integers(0, 2, TIMES.size) for key in names}
    seen = {key: np.ones(TIMES.size, np.bool_) for key in names}
    tried, well = ({instance: np.ones(TIMES.size, np.bool_) for instance in TARGETS} for _ in range(2))
    for minute, length, trouble in troubles:
        outside = ~((at(minute) < TIMES) & (at(minute + length) >= TIMES))
        kind, _, where = trouble.partition(" ")
        for key in names:
            if kind == "away" or key[0] == where or (where == "one" and key == names[0]):
                seen[key] &= outside
        for instance in TARGETS:
            tried[instance] &= outside if kind == "away" else True
            well[instance] &= outside if kind == "fails" and instance == where else True
    everything, shown = [], []
    for instance in TARGETS:
        everything.append(gauge(np.ones(TIMES.size), TIMES, "up", instance=instance))
        attempts = tried[instance]
        shown.append(
            gauge(well[instance][attempts].astype(np.int64), TIMES[attempts], "up", instance=instance)
        )
        if reports:
            running = TIMES[attempts & well[instance]]
            shown.append(
                gauge(np.ones(running.size), running, "process_start_time_seconds", instance=instance)
            )
    for key in names:
        everything.append(gauge(values[key], instance=key[0], n=key[1]))
        shown.append(gauge(values[key][seen[key]], TIMES[seen[key]], instance=key[0], n=key[1]))
    truths, counts = counted(indicator, *everything), counted(indicator, *shown)
    for number, (truth, count) in enumerate(zip(truths, counts, strict=True)):
        hour = (EDGES[number] < TIMES) & (EDGES[number + 1] >= TIMES)
        lost = excused(seen, well, tried, number)
        if indicator is not PROBE and any(mask.any() for mask in lost.values()):
            continue
        assert truth.good is not None
        assert truth.bad is not None
        good = truth.good - sum(int(values[key][lost[key] & hour].sum()) for key in names)
        bad = truth.bad - sum(int((1 - values[key])[lost[key] & hour].sum()) for key in names)
        if count.good is not None:
            assert (count.good, count.bad) == (good, bad)
        if count.bounds is not None:
            assert count.bounds.good_least <= truth.good
            assert count.bounds.good_most >= good
            assert count.bounds.bad_least <= truth.bad
            assert count.bounds.bad_most >= bad


@pytest.mark.parametrize("text", ["max(avg_over_time(x[5m]))", "last_over_time(x[1m])", "count(x)"])
def test_a_gauge_is_written_as_it_was_read(text: str) -> None:
    assert promql.gauge(str(promql.gauge(text))) == promql.gauge(text)


class Named(Memory):
    """A Prometheus in memory that knows another one by name."""

    others: ClassVar[dict[str, Memory]] = {}
    url = "http://one"

    def source(self, name: str | None) -> Memory:
        return self if name is None else self.others[name]


def test_each_objective_is_counted_from_the_prometheus_that_it_names() -> None:
    """And a metric that is a counter to one, and a gauge to another, is read as each of them asks."""
    here, there = Named((UP, gauge(np.ones(TIMES.size)))), Named((UP, gauge(np.zeros(TIMES.size))))
    there.__dict__["url"] = "http://eu"
    here.others["eu"] = there
    counter = Indicator(promql.events("probe_success").counter, good=promql.events("probe_success").counter)
    objectives = [
        Objective("s", name, "", "", Fraction(9, 10), indicator, Period("rolling", 30))
        for name, indicator in (("a", PROBE), ("b", replace(PROBE, source="eu")), ("c", counter))
    ]
    bounds = [moment(edge) for edge in EDGES]
    counts = event_count.count(cast(Prometheus, here), objectives, bounds, moment(EDGES[-1] + 10 * VIEW))
    assert [counts[objective][1].good for objective in objectives] == [240, 0, 0]
    assert counts[objectives[1]][1].total == 240
