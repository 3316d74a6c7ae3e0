"""Verdicts about canaries whose truth is known: errors within the stated rates, and what stops one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.slo.canary import Comparison, Interval, Limits, Side

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ERROR_RATE = 0.05
ALLOWED = 0.02
PLENTY = 10**9


def side(bad: int, total: int) -> Side:
    return Side(bad, total, bad)


def interval(canary: Side, stable: Side) -> Interval:
    return Interval(AT, canary, stable)


def limits(most_bad: int = PLENTY, allowed: float = ALLOWED, unknown: int = 5) -> Limits:
    return Limits(allowed, most_bad, error_rate=ERROR_RATE, unknown_intervals=unknown)


def drawn(runs: int, odds: float, usual: float, seed: int) -> Iterator[str]:
    """Verdicts of canaries with a tenth of the traffic; how many events are bad changes with the hour."""
    random = np.random.default_rng(seed)
    for _ in range(runs):
        comparison = Comparison(limits())
        shares = usual * random.choice((0.5, 1.0, 2.0), size=40)
        worse = odds * shares / (1 - shares)
        canary, stable = random.binomial(60, worse / (1 + worse)), random.binomial(540, shares)
        for bad, others in zip(canary.tolist(), stable.tolist(), strict=True):
            if comparison.add(interval(side(bad, 60), side(others, 540))) != "undecided":
                break
        yield comparison.verdict


def rates(runs: int, odds: float, usual: float, seed: int) -> dict[str, float]:
    counted = Counter(drawn(runs, odds, usual, seed))
    return {verdict: count / runs for verdict, count in counted.items()}


@pytest.mark.parametrize(
    "runs", [pytest.param(300, id="some"), pytest.param(5_000, id="many", marks=pytest.mark.full)]
)
def test_errors_are_as_rare_as_stated(runs: int) -> None:
    as_good = rates(runs, 1.0, 0.015, seed=1)
    harmful = rates(runs, 1.5, 0.03, seed=2)
    assert 0 < as_good["worse"] <= ERROR_RATE
    # Above the allowed share in most hours; in all of them it would be called good more rarely still.
    assert harmful.get("good", 0) <= ERROR_RATE
    assert harmful["worse"] > 0.2


def test_what_is_clear_is_found_at_once() -> None:
    assert rates(100, 8.0, 0.01, seed=3)["worse"] > 0.98
    assert rates(100, 1.0, 0.002, seed=4)["good"] > 0.9


def test_traffic_that_moves_to_the_canary_in_a_bad_hour_does_not_make_it_worse() -> None:
    comparison = Comparison(limits(allowed=0.001))
    for _ in range(4):
        comparison.add(interval(side(1, 100), side(9, 900)))
    for _ in range(2):
        comparison.add(interval(side(50, 500), side(50, 500)))
    together = Comparison(limits(allowed=0.001))
    summed = (comparison.canary_bad, comparison.canary_total, comparison.stable_bad, comparison.stable_total)
    # Summed up over both hours its share of bad events is 7.4 %, the others' 3.0 %.
    assert summed == (104, 1_400, 136, 4_600)
    assert together.add(interval(side(*summed[:2]), side(*summed[2:]))) == "worse"
    assert comparison.verdict == "good"
    assert comparison.evidence_worse < 0


def test_a_canary_without_events_stays_undecided() -> None:
    comparison = Comparison(limits())
    for _ in range(500):
        assert comparison.add(interval(side(0, 0), side(3, 900))) == "undecided"
    assert comparison.reason == "no events of the canary are known"


def test_few_events_stay_undecided() -> None:
    comparison = Comparison(limits(allowed=0.001))
    for _ in range(60):
        comparison.add(interval(side(0, 10), side(0, 90)))
    assert comparison.verdict == "undecided"
    assert comparison.reason == (
        "too few events to tell: 0 of 600 events of the canary are bad, 0 of 5400 of the stable release"
    )


def test_nothing_is_good_before_the_least_number_of_intervals() -> None:
    comparison = Comparison(limits())
    verdicts = [comparison.add(interval(side(0, 5_000), side(3, 45_000))) for _ in range(5)]
    assert verdicts == ["undecided"] * 4 + ["good"]


def test_a_canary_stops_where_its_part_of_the_budget_is_spent() -> None:
    comparison = Comparison(limits(most_bad=10))
    verdicts = [comparison.add(interval(side(4, 900), side(40, 9_000))) for _ in range(3)]
    assert verdicts == ["undecided", "undecided", "spent"]
    assert comparison.reason == "the canary may have 10 bad events and has up to 12"


def test_events_that_are_bounded_count_as_spent_and_as_no_evidence() -> None:
    comparison = Comparison(limits(most_bad=100))
    bounded = Side(None, None, 101, "14:00:00 to 14:01:00 UTC: a:1 cannot be scraped")
    assert comparison.add(interval(bounded, side(0, 900))) == "spent"
    assert comparison.known_intervals == 0


def test_a_canary_that_cannot_be_seen_is_never_good() -> None:
    seen = [interval(side(0, 5_000), side(3, 45_000))] * 5
    unseen = interval(Side(None, None, None, "a:1 cannot be scraped"), side(3, 45_000))
    blind, sighted = Comparison(limits(unknown=2)), Comparison(limits(unknown=3))
    for comparison in (blind, sighted):
        for each in (unseen, unseen, unseen, *seen):
            comparison.add(each)
    assert (sighted.verdict, sighted.is_blind) == ("good", False)
    assert (blind.verdict, blind.is_blind) == ("undecided", True)
    assert blind.reason.startswith("3 intervals of the canary are not known")


def test_an_unknown_stable_release_leaves_only_the_objective_to_judge_by() -> None:
    unknown = Side(None, None, None, "s:1 cannot be scraped")
    comparison = Comparison(limits())
    for _ in range(20):
        comparison.add(interval(side(900, 1_000), unknown))
    assert comparison.verdict == "undecided"
    assert comparison.evidence_worse == 0


def test_a_verdict_stands() -> None:
    comparison = Comparison(limits())
    assert comparison.add(interval(side(90, 100), side(1, 900))) == "worse"
    for _ in range(100):
        assert comparison.add(interval(side(0, 10_000), side(100, 10_000))) == "worse"
    assert comparison.intervals == 1


def test_where_everything_must_be_good_only_the_stable_release_judges() -> None:
    comparison = Comparison(limits(allowed=0.0))
    for _ in range(100):
        comparison.add(interval(side(0, 1_000), side(0, 9_000)))
    assert comparison.verdict == "undecided"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tolerance": 1.0}, "a tolerance of 1 cannot be"),
        ({"tolerance": float("nan")}, "a tolerance of nan cannot be"),
        ({"error_rate": 0.0}, "an error rate of 0 cannot be"),
        ({"error_rate": 0.5}, "an error rate of 0.5 cannot be"),
        ({"most_bad": -1}, "less than 0 bad events"),
    ],
)
def test_limits_that_cannot_be_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Limits(**{"allowed_share": 0.01, "most_bad": 5, **given})  # type: ignore[arg-type]
