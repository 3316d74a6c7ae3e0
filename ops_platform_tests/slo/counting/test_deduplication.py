"""Replicas of Prometheus: one counts, another stands in, and cuts of time still add up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.counting.counter_deltas import timeline
from ops_platform.slo.counting.deduplication import ReplicaTurns
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.counting.range_query import Raw, Samples
from ops_platform.slo.counting.samples import Labels, Series, Times
from ops_platform.slo.counting.scrapes import VIEW, Scrapes, Unknown, gaps, touching
from ops_platform.slo.objectives import openslo
from ops_platform_tests.slo.recorded import prometheus_with, publishing

STEP = 20_000
TARGET: Labels = (("instance", "a"), ("job", "product"))


@st.composite
def outages(draw: st.DrawFn, ticks: int, most: int) -> list[bool]:
    """Which of the scrapes a replica makes: all, but for some long outages."""
    made = [True] * ticks
    for _ in range(draw(st.integers(0, most))):
        begin = draw(st.integers(0, ticks))
        for tick in range(begin, min(ticks, begin + draw(st.integers(1, 50)))):
            made[tick] = False
    return made


def rows(samples: list[tuple[float, float]]) -> Samples:
    return np.array(samples, np.float64).reshape(-1, 2)


@given(st.data())
def test_cuts_of_time_add_up_whichever_replica_is_away(data: st.DataObject) -> None:
    ticks = 90
    truth = np.cumsum(data.draw(st.lists(st.integers(1, 9), min_size=ticks, max_size=ticks)))
    seen: Raw = {}
    scraped: dict[Labels, list[float]] = {}
    for name, most, shift in (("a", 3, 0), ("b", 1, data.draw(st.integers(-50_000, 50_000)))):
        # Each scrapes the same counter, at its own moments of the minute; its clock is off, too.
        made = data.draw(outages(ticks, most))
        times = [(STEP * tick + shift + 60_000) / 1000 for tick, is_made in enumerate(made) if is_made]
        values = [float(truth[tick]) for tick, is_made in enumerate(made) if is_made]
        if times:
            seen[("__name__", "x_total"), *TARGET, ("replica", name)] = rows(
                list(zip(times, values, strict=True))
            )
            scraped[(("replica", name),)] = times

    def events(start: int, end: int) -> int | None:
        """Of (start, end], from what surrounds it by VIEW, as a run reads it."""
        low, high = start - VIEW, end + VIEW
        within = {
            labels: samples[(low < samples[:, 0] * 1000) & (samples[:, 0] * 1000 <= high)]
            for labels, samples in seen.items()
        }
        good = {
            name: np.array([round(one * 1000) for one in found if low < one * 1000 <= high], np.int64)
            for name, found in scraped.items()
        }
        pulse = np.unique(np.concatenate([np.empty(0, np.int64), *good.values()]))
        turns = {TARGET: ReplicaTurns.of(good, low, high)} if good else {}
        series = [
            Series.parse(labels, samples)[0]
            for labels, samples in deduplication.merge_replicas(within, frozenset(["replica"]), turns).items()
        ]
        scrapes = {target: Scrapes(each.good) for target, each in turns.items()}
        line = timeline(series, scrapes, {}, pulse, low, high)
        differing = deduplication.differences(within, frozenset(["replica"]), turns).get(TARGET, ())
        assert not any("different counters" in stretch.reason for stretch in differing)
        if line.missing(start, end) or touching(differing, start, end):
            return None
        return int(line.events(np.array([start, end], np.int64))[0])

    cuts = sorted({0, STEP * ticks, *data.draw(st.lists(st.integers(0, STEP * ticks), max_size=6))})
    parts = [events(start, end) for start, end in itertools.pairwise(cuts)]
    whole = events(0, STEP * ticks)
    if whole is not None:
        assert None not in parts
        assert sum(part for part in parts if part is not None) == whole
        # Never twice, however many saw it.
        assert whole <= truth[-1]


def test_what_one_has_lost_another_stands_in_for() -> None:
    def scraped(first: int, last: int, shift: float) -> list[tuple[float, float]]:
        return [(20.0 * tick + shift, float(tick)) for tick in range(first, last)]

    a, b = [*scraped(0, 10, 0), *scraped(50, 60, 0)], scraped(0, 60, 5)
    series = (("__name__", "x_total"), *TARGET)

    def chosen(found: dict[str, list[tuple[float, float]]]) -> list[tuple[float, float]]:
        good: dict[Labels, Times] = {
            (("replica", name),): np.array([round(time * 1000) for time, _ in samples], np.int64)
            for name, samples in found.items()
        }
        raw = {(*series, ("replica", name)): rows(samples) for name, samples in found.items()}
        turns = {TARGET: ReplicaTurns.of(good, 0, 60 * STEP)}
        merged = deduplication.merge_replicas(raw, frozenset(["replica"]), turns)[series]
        return [(time, value) for time, value in merged.tolist()]

    samples = chosen({"a": a, "b": b})
    times = np.array([round(time * 1000) for time, _ in samples], np.int64)
    assert gaps(times, 0, 60 * STEP) == []
    assert [value for _, value in samples] == sorted(value for _, value in samples)
    # Its own where it has them.
    assert set(a) <= set(samples)
    assert chosen({"a": a}) == a


def differing(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> list[Unknown]:
    """Of two that are called replicas, each with its samples of a counter and a good scrape at each."""
    series = (("__name__", "x_total"), *TARGET)
    raw = {(*series, ("replica", name)): rows(samples) for name, samples in (("a", a), ("b", b)) if samples}
    ticks = np.arange(STEP, 180 * STEP, STEP, dtype=np.int64)
    turns = {TARGET: ReplicaTurns.of({(("replica", "a"),): ticks, (("replica", "b"),): ticks}, 0, 3_600_000)}
    return deduplication.differences(raw, frozenset(["replica"]), turns).get(TARGET, [])


def test_replicas_that_differ_are_none() -> None:
    """A hint that names a cluster's label as a replica's must not halve a count in silence."""
    ticks = range(1, 180)
    mine = [(20.0 * tick, 1000.0 + tick) for tick in ticks]
    assert differing(mine, [(time + 7, value) for time, value in mine]) == []
    # A minute is what clocks may differ by; another cluster's counter is further off.
    [all_of_it] = differing(mine, [(time, value + 40) for time, value in mine])
    assert "different counters" in all_of_it.reason
    assert all_of_it.until - all_of_it.after > 3_000_000
    # One that began anew at other times than the other.
    assert differing(mine, [(time, value if value < 1100 else value - 1099) for time, value in mine])
    # One that the counting replica never shows, although it scrapes.
    assert differing([], mine)
    assert differing(mine, []) == []


def test_one_takes_the_place_of_another_that_it_was_seen_beside() -> None:
    series = (("__name__", "x_total"), *TARGET)

    def switched(first_of_b: int) -> list[Unknown]:
        a = [(20.0 * tick, 1000.0 + tick) for tick in range(1, 60)]
        b = [(20.0 * tick, 1000.0 + tick) for tick in range(first_of_b, 180)]
        raw = {(*series, ("replica", "a")): rows(a), (*series, ("replica", "b")): rows(b)}
        good: dict[Labels, Times] = {
            labels[2:][-1:]: np.array([round(time * 1000) for time, _ in samples], np.int64)
            for labels, samples in raw.items()
        }
        turns = {TARGET: ReplicaTurns.of(good, 0, 180 * STEP)}
        return deduplication.differences(raw, frozenset(["replica"]), turns).get(TARGET, [])

    assert switched(first_of_b=1) == []
    [unseen] = switched(first_of_b=60)
    assert "was not seen to show the same" in unseen.reason


HOURS = 3
START = (datetime.now(UTC) - timedelta(hours=HOURS + 2)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS


@pytest.fixture(scope="module", params=["is away", "scrapes in vain"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Two replicas' samples in one store; for half an hour the first had none of the counters."""
    recorded = {}
    away = START.timestamp() + 1800, START.timestamp() + 3600
    for series, samples in publishing(START, END).items():
        for replica, shift in (("a", 0.0), ("b", 7.0)):
            labels = series.replace("{", '{prometheus_replica="' + replica + '",')
            mine: list[tuple[float, float]] = []
            for time, value in samples:
                lost = replica == "a" and away[0] < time < away[1]
                if lost and series.startswith("up{") and request.param == "scrapes in vain":
                    mine.append((time + shift, 0))
                elif not lost:
                    mine.append((time + shift, value))
            recorded[labels] = mine
    with prometheus_with(recorded, tmp_path_factory.mktemp("replicas")) as client:
        yield client


@pytest.mark.services
def test_two_replicas_count_as_one(stored: Prometheus, tmp_path: Path) -> None:
    objectives = openslo.load_directory(files.default_config_dir() / "objectives")
    [success] = [one for one in objectives if one.id == "publishing-success"]
    bounds, now = counting.hours(START, END), datetime.now(UTC)
    unnamed = counting.count(stored, [success], bounds, now)[success]
    assert {one.state for one in unnamed} == {"source_missing"}
    assert "OPS_PROMETHEUS_REPLICA_LABELS" in (unnamed[0].reason or "")
    named = Prometheus(stored.url, replica_labels=["prometheus_replica"])
    found = counting.count(named, [success], bounds, now)[success]
    assert [one.state for one in found] == ["ok"] * HOURS
    with prometheus_with(publishing(START, END), tmp_path) as single:
        exact = counting.count(single, [success], bounds, now)[success]
    # To the event; what the first was away for until a full hour, it sees just after it.
    totals, truth = ([one.total or 0 for one in each] for each in (found, exact))
    assert sum(totals) == sum(truth) > 0
    assert totals[2] == truth[2]
    assert abs(totals[0] - truth[0]) < 20
