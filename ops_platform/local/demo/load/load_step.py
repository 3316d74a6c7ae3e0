"""What a step of a load test shows: how many were answered, how late, and what it does to each objective.

All of it is the difference between two readings of the product's own counters. No request is made here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ops_platform.slo.objectives import Indicator, Objective, Selector

RESPONSES = "product_api_responses_total"
SECONDS_BUCKET = "product_api_response_duration_seconds_bucket"

Series = tuple[str, tuple[tuple[str, str], ...]]
Reading = Mapping[Series, float]
"""Every counter of the product at a moment, by name and labels."""


def reading(text: str) -> Reading:
    """Read what the product exports, in Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(frozen=True)
class Outcome:
    """Events of an objective in a step."""

    good: int
    total: int

    @property
    def bad(self) -> int:
        """Events that were not good."""
        return self.total - self.good

    def holds(self, target: Fraction) -> bool | None:
        """Tell whether the share of good events is as promised; None without events."""
        return None if not self.total else Fraction(self.good, self.total) >= target

    def burn(self, target: Fraction) -> Fraction | None:
        """Compute how many times faster than allowed the budget burns; None without one or events."""
        return None if not self.total or target == 1 else Fraction(self.bad, self.total) / (1 - target)


@dataclass(frozen=True)
class Step:
    """A step of the load test. Rates are requests a second, ``p50`` and ``p99`` seconds until the answer.

    ``errors`` is the share of answers that are the product's fault. A percentile is infinite beyond the last
    bucket, and None without answers.
    """

    asked: float
    answered: float
    errors: Fraction | None
    p50: float | None
    p99: float | None
    outcomes: Mapping[str, Outcome]

    @property
    def served(self) -> float:
        """Requests a second that were answered, and not with an error of the product."""
        return self.answered * float(1 - (self.errors or 0))


@dataclass(frozen=True)
class Limit:
    """Where an objective breaks: the rates (requests a second) of the last step before, and of the first."""

    objective: str
    held_at: float | None
    broke_at: float | None


def measured(
    asked: float, seconds: float, before: Reading, after: Reading, objectives: Sequence[Objective]
) -> Step:
    """Compute what happened between two readings, ``seconds`` apart."""
    answers = _added(before, after, Selector(RESPONSES, ()))
    faults = _added(before, after, Selector.parse(f'{RESPONSES}{{code=~"5.."}}'))
    return Step(
        asked,
        answers / seconds,
        Fraction(faults, answers) if answers else None,
        _percentile(before, after, 0.5),
        _percentile(before, after, 0.99),
        {
            objective.id: outcome
            for objective in objectives
            for outcome in [_outcome(before, after, objective)]
            if outcome is not None
        },
    )


def limits(steps: Sequence[Step], objectives: Sequence[Objective]) -> list[Limit]:
    """Find where each objective breaks first; ``broke_at`` is None where it never does."""
    found = []
    for objective in objectives:
        held: float | None = None
        broke: float | None = None
        for step in steps:
            outcome = step.outcomes.get(objective.id)
            holds = None if outcome is None else outcome.holds(objective.target)
            if holds is False:
                broke = step.asked
                break
            held = step.asked if holds else held
        found.append(Limit(objective.id, held, broke))
    return found


def as_json(steps: Sequence[Step], objectives: Sequence[Objective]) -> dict[str, Any]:
    """Make a JSON object of the steps, and of where each objective breaks."""
    targets = {objective.id: objective.target for objective in objectives}
    return {
        "steps": [
            {
                "asked_per_second": step.asked,
                "answered_per_second": round(step.answered, 1),
                "served_per_second": round(step.served, 1),
                "p50_seconds": _finite(step.p50),
                "p99_seconds": _finite(step.p99),
                "error_ratio": None if step.errors is None else float(step.errors),
                "objectives": {
                    name: {
                        "good": outcome.good,
                        "total": outcome.total,
                        "met": outcome.holds(targets[name]),
                        "burn_rate": None if burn is None else round(float(burn), 3),
                    }
                    for name, outcome in step.outcomes.items()
                    for burn in [outcome.burn(targets[name])]
                },
            }
            for step in steps
        ],
        "limits": [
            {
                "objective": limit.objective,
                "held_at_per_second": limit.held_at,
                "broke_at_per_second": limit.broke_at,
            }
            for limit in limits(steps, objectives)
        ],
    }


def _finite(seconds: float | None) -> float | None:
    """Round; None beyond the last bucket too, since JSON has no infinity."""
    return None if seconds is None or math.isinf(seconds) else round(seconds, 4)


def _outcome(before: Reading, after: Reading, objective: Objective) -> Outcome | None:
    """Count an objective's events; None where it counts no events of the product's counters."""
    indicator = objective.indicator
    if not isinstance(indicator, Indicator) or indicator.slicing is not None:
        return None
    if not any(name == indicator.total.metric for name, _ in after):
        return None
    total = _added(before, after, indicator.total)
    if indicator.good is not None:
        return Outcome(_added(before, after, indicator.good), total)
    assert indicator.bad is not None  # noqa: S101 - one of the two is given
    return Outcome(total - _added(before, after, indicator.bad), total)


def _added(before: Reading, after: Reading, selector: Selector) -> int:
    """Add up what the selected counters counted in between."""
    return sum(
        round(value - before.get(series, 0.0))
        for series, value in after.items()
        if series[0] == selector.metric and _fits(dict(series[1]), selector)
    )


def _fits(labels: Mapping[str, str], selector: Selector) -> bool:
    if selector.bound is not None and float(labels.get("le", "nan")) != selector.bound:
        return False
    return all(matcher.fits(labels.get(matcher.name, "")) for matcher in selector.matchers)


def _percentile(before: Reading, after: Reading, share: float) -> float | None:
    """Estimate a percentile from the buckets, evenly within one, as ``histogram_quantile`` does."""
    buckets = sorted(_buckets(before, after))
    if not buckets or not buckets[-1][1]:
        return None
    wanted, lower, below = share * buckets[-1][1], 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            return (
                bound if math.isinf(bound) else lower + (bound - lower) * (wanted - below) / (count - below)
            )
        lower, below = bound, count
    return math.inf


def _buckets(before: Reading, after: Reading) -> Iterable[tuple[float, float]]:
    for series, value in after.items():
        if series[0] == SECONDS_BUCKET:
            yield float(dict(series[1])["le"]), value - before.get(series, 0.0)
