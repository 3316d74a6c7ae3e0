"""Canaries beside a stable release, counted from a real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import ConfigurationError
from ops_platform.slo.canary import Limits, Look, Releases, Watch, intervals
from ops_platform.slo.canary.intervals import Pace
from ops_platform.slo.objectives import GaugeIndicator, Indicator, Objective, Period, Selector, promql
from ops_platform_tests.slo.recorded import Recorded, prometheus_with

pytestmark = pytest.mark.services

BEGUN = (datetime.now(UTC) - timedelta(hours=3)).replace(second=0, microsecond=0)
"""Of the canaries; the stable release runs for longer."""
MINUTES = 40
PER_SCRAPE = 15.0
PACE = Pace()
STABLE = 'track="stable"'
BUDGET = Fraction(1, 100)


def counters(track: str, since: float, events: int, bad: float, slow: float, seed: int) -> Recorded:
    """Series of one target from ``since`` minutes on, scraped every 15 seconds."""
    random = np.random.default_rng(seed)
    target = f'instance="{track}:1",job="shop",track="{track}"'
    times = np.arange(BEGUN.timestamp() + since * 60 + 4, BEGUN.timestamp() + MINUTES * 60, PER_SCRAPE)
    totals = np.concatenate(([0], random.poisson(events * PER_SCRAPE / 60, times.size - 1)))
    failed, late = random.binomial(totals, bad), random.binomial(totals, slow)

    def series(values: Any) -> list[tuple[float, float]]:
        return list(zip(times.tolist(), np.cumsum(values).tolist(), strict=True))

    return {
        f'answers_total{{code="200",{target}}}': series(totals - failed),
        f'answers_total{{code="500",{target}}}': series(failed),
        f'answer_seconds_bucket{{le="0.5",{target}}}': series(totals - late),
        f"answer_seconds_count{{{target}}}": series(totals),
        f"up{{{target}}}": [(time, 1.0) for time in times.tolist()],
        f"process_start_time_seconds{{{target}}}": [(time, times[0] - 2) for time in times.tolist()],
    }


def without_scrapes(recorded: Recorded, minutes: float) -> Recorded:
    """What is left of a target whose scrapes fail from so many minutes on."""
    until = BEGUN.timestamp() + minutes * 60
    return {
        name: [(time, value if time < until else 0.0) for time, value in samples]
        if name.startswith("up{")
        else [(time, value) for time, value in samples if time < until]
        for name, samples in recorded.items()
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    recorded = {
        **counters("stable", -30, 5_400, 0.002, 0.01, seed=1),
        **counters("good", 0, 600, 0.002, 0.01, seed=2),
        **counters("slow", 0, 600, 0.002, 0.08, seed=3),
        **counters("failing", 0, 600, 0.03, 0.01, seed=4),
        **counters("idle", 0, 0, 0.0, 0.0, seed=5),
        **without_scrapes(counters("dying", 0, 600, 0.002, 0.01, seed=6), 3),
    }
    with prometheus_with(recorded, tmp_path_factory.mktemp("prometheus")) as client:
        yield client


AVAILABILITY = Indicator(
    total=Selector.parse("answers_total"), bad=Selector.parse('answers_total{code=~"5.."}')
)
LATENCY = Indicator(
    total=Selector.parse("answer_seconds_count"), good=Selector.parse('answer_seconds_bucket{le="0.5"}')
)


def objective(indicator: Indicator | GaugeIndicator = AVAILABILITY, budget: Fraction = BUDGET) -> Objective:
    return Objective("shop", "answers", "t", "d", 1 - budget, indicator, Period("rolling", 30))


class Clock:
    """Time that passes only while somebody waits for it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def watched(
    source: Prometheus, track: str, one: Objective, most_bad: int = 100_000, minutes: float = 30
) -> list[Look]:
    clock = Clock(BEGUN + timedelta(minutes=1, seconds=20))
    watch = Watch(
        source,
        one,
        Releases.parse(f'track="{track}"', STABLE),
        Limits(float(one.budget), most_bad),
        clock.at,
        clock.at + timedelta(minutes=minutes),
    )
    return list(watch.looks(clock.now, clock.wait))


def test_a_good_canary_may_go_on(source: Prometheus) -> None:
    last = watched(source, "good", objective())[-1]
    assert (last.comparison.verdict, last.final) == ("good", True)
    assert last.at - BEGUN < timedelta(minutes=20)


def test_a_failing_canary_is_stopped_within_minutes(source: Prometheus) -> None:
    looks = watched(source, "failing", objective())
    assert looks[-1].comparison.verdict == "worse"
    assert looks[-1].at - BEGUN < timedelta(minutes=6)
    assert [look.final for look in looks] == [False] * (len(looks) - 1) + [True]


def test_a_slow_canary_is_worse_by_its_latency_only(source: Prometheus) -> None:
    late = objective(LATENCY, Fraction(5, 100))
    assert watched(source, "slow", late)[-1].comparison.verdict == "worse"
    assert watched(source, "slow", objective())[-1].comparison.verdict == "good"
    assert watched(source, "good", late)[-1].comparison.verdict == "good"


def test_a_canary_without_traffic_is_undecided_when_time_is_over(source: Prometheus) -> None:
    last = watched(source, "idle", objective(), minutes=8)[-1]
    assert (last.comparison.verdict, last.final) == ("undecided", True)
    assert last.comparison.reason.startswith("no events of the canary are known")


def test_a_canary_that_can_no_longer_be_scraped_is_not_good(source: Prometheus) -> None:
    last = watched(source, "dying", objective())[-1]
    assert (last.comparison.verdict, last.final) == ("undecided", True)
    assert "dying:1" in (last.comparison.unknown_reason or "")


def test_a_canary_that_nobody_deployed_is_undecided(source: Prometheus) -> None:
    last = watched(source, "nobody", objective(), minutes=8)[-1]
    assert last.comparison.verdict == "undecided"


def test_a_spent_budget_stops_a_canary_that_is_as_good_as_others(source: Prometheus) -> None:
    last = watched(source, "good", objective(), most_bad=2)[-1]
    assert last.comparison.verdict == "spent"


def test_every_event_is_in_one_interval(source: Prometheus) -> None:
    releases = Releases.parse('track="good"', STABLE)
    first, last = BEGUN + timedelta(minutes=1), BEGUN + timedelta(minutes=31)
    found = intervals.count(source, objective(), releases, PACE, first, last)
    whole = intervals.count(source, objective(), releases, Pace(last - first), first, last)
    assert [each.start for each in found] == [first + timedelta(minutes=number) for number in range(30)]
    for release in ("canary", "stable"):
        sides = [getattr(each, release) for each in found]
        [together] = [getattr(each, release) for each in whole]
        assert sum(each.total for each in sides) == together.total > 10_000
        assert sum(each.bad for each in sides) == together.bad > 10


def test_labels_that_do_not_tell_them_apart_are_refused(source: Prometheus) -> None:
    first = BEGUN + timedelta(minutes=1)
    both = Releases.parse('track=~"good|stable"', STABLE)
    with pytest.raises(ConfigurationError, match=r"2 series of answers_total are of both"):
        intervals.count(source, objective(), both, PACE, first, first + timedelta(minutes=1))


@pytest.mark.parametrize("text", ["", "{}", "canary", 'track="a" or track="b"', "track=", 'a{track="x"}'])
def test_what_selects_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--canary .* selects nothing"):
        Releases.parse(text, STABLE)
    assert Releases.parse('{track="canary"}', STABLE) == Releases.parse('track="canary"', STABLE)


def test_what_counts_no_events_is_refused(source: Prometheus) -> None:
    gauge = GaugeIndicator(promql.Gauge(Selector("lag_seconds", ())), "lt", Fraction(1))
    with pytest.raises(ConfigurationError, match="counts samples: a canary is compared by events"):
        intervals.count(
            source, objective(gauge), Releases.parse('track="a"', STABLE), PACE, BEGUN, BEGUN + PACE.step
        )


def test_a_prometheus_that_is_away_decides_nothing() -> None:
    looks = watched(Prometheus("http://127.0.0.1:9", timeout_seconds=2), "good", objective(), minutes=3)
    assert {look.comparison.verdict for look in looks} == {"undecided"}
    assert looks[-1].final
    assert looks[-1].reason.startswith("not counted: cannot reach Prometheus at")
