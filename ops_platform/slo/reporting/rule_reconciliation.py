"""The ledger against the rules: exact counts, and the ratios that Prometheus computes for its alerts.

The two are made in different ways from the same samples, so that a mistake in either shows. Prometheus
extrapolates and knows no exclusions: ratios of raw counts are compared, within a tolerance of a tenth of
the bad events, allowed or counted, and the events of a few scrapes. The rules that Prometheus has loaded
must be those of the objective. Where less than KNOWN of the period is known to either side, nothing is
compared, and nothing has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

import promql_parser

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.prometheus import Prometheus, Rule
from ops_platform.slo.objectives import Objective, event_rates

SHARE = Fraction(1, 10)
"""Tolerance: of the ratio of bad events, allowed or counted, whichever is larger."""
EVENTS = 10
"""Tolerance on top, in events."""
KNOWN = Fraction(9, 10)
"""Share of the period's hours that must be known: fewer do not prove that both agree."""


@dataclass(frozen=True)
class Sums:
    """Sums over a period. ``ledger`` and ``counts``, (all, bad) without excluded times, must be equal."""

    good: int
    total: int
    hours: int
    ledger: tuple[int, int]
    counts: tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    """Error ratios of one objective over its period; ``fault`` is None when they agree."""

    objective: Objective
    exact: Fraction | None
    by_rule: float | None
    tolerance: Fraction
    fault: str | None


def compare(
    ops: Connection, prometheus: Prometheus, objectives: Sequence[Objective], end: datetime
) -> list[Comparison]:
    """Compare each objective at ``end``, a full hour. Raises Unavailable when Prometheus cannot be asked."""
    loaded = {
        source.url: source.rules()
        for source in {prometheus.source(objective.indicator.source) for objective in objectives}
    }

    def by_rule(objective: Objective) -> Comparison:
        source = prometheus.source(objective.indicator.source)
        return judge(
            objective,
            sums(ops, objective, end),
            _ratio_by_rule(source, loaded[source.url], objective, end),
            _hours_with_samples(source, objective, end),
        )

    return [
        by_rule(objective)
        if event_rates.counts_events(objective)
        else judge_counts(objective, sums(ops, objective, end))
        for objective in objectives
    ]


def judge_counts(objective: Objective, counted: Sums) -> Comparison:
    """Judge whether ledger and counts agree, of samples of a gauge or slices of time.

    Their rules look at moments and come close to what is counted, not within any tolerance that means much.
    """
    exact = Fraction(counted.total - counted.good, counted.total) if counted.total else None
    return judge(objective, counted, None if exact is None else float(exact), 24 * objective.period.days)


def judge(
    objective: Objective, counted: Sums, by_rule: float | str | None, hours_with_samples: int
) -> Comparison:
    """Judge whether the counted sums and the rule agree.

    ``by_rule``: the rule's error ratio; None without events; text: why there is no answer.
    ``hours_with_samples``: for how many hours of the period Prometheus has samples.
    """
    period_hours = 24 * objective.period.days
    exact = Fraction(counted.total - counted.good, counted.total) if counted.total else None
    tolerance = max(objective.budget, exact or Fraction(0)) * SHARE
    if counted.total:
        tolerance += Fraction(EVENTS, counted.total)
    fault = None
    if counted.ledger != counted.counts:
        fault = f"the ledger has {_pair(counted.ledger)}, the counts have {_pair(counted.counts)}"
    elif counted.hours < KNOWN * period_hours:
        fault = f"only {_share(counted.hours, period_hours)} are counted and known"
    elif isinstance(by_rule, str):
        fault = by_rule
    elif hours_with_samples < KNOWN * period_hours:
        fault = f"Prometheus has samples of only {_share(hours_with_samples, period_hours)}"
    elif (exact is None) != (by_rule is None):
        fault = (
            f"{counted.total} events were counted, and the rule sees {'none' if by_rule is None else 'some'}"
        )
    elif exact is not None and by_rule is not None and abs(Fraction(by_rule) - exact) > tolerance:
        fault = (
            f"{float(exact):.6%} of the counted events are bad, and {by_rule:.6%} by the rule: "
            f"more than {float(tolerance):.6%} apart"
        )
    return Comparison(objective, exact, None if isinstance(by_rule, str) else by_rule, tolerance, fault)


def _share(hours: int, period_hours: int) -> str:
    return f"{hours} of the {period_hours} hours of the period ({float(KNOWN):.0%} must be)"


def sums(ops: Connection, objective: Objective, end: datetime) -> Sums:
    """Add up the known hours of the period that ends at ``end``, and the ledger's entries of it."""
    row = one_row(
        ops,
        """
        SELECT count(total) AS hours, coalesce(sum(good), 0) AS good, coalesce(sum(total), 0) AS total,
               coalesce(sum(adjusted_total), 0) AS adjusted,
               coalesce(sum(adjusted_total - adjusted_good), 0) AS bad,
               (SELECT coalesce(sum(l.total), 0) FROM slo_budget_ledger AS l
                WHERE (l.service, l.slo, l.version) = (%(service)s, %(slo)s, %(version)s)
                  AND l.window_start >= %(start)s AND l.window_start < %(end)s) AS entered,
               (SELECT coalesce(sum(l.debit), 0) FROM slo_budget_ledger AS l
                WHERE (l.service, l.slo, l.version) = (%(service)s, %(slo)s, %(version)s)
                  AND l.window_start >= %(start)s AND l.window_start < %(end)s) AS debited
        FROM slo_window_counts
        WHERE service = %(service)s AND slo = %(slo)s AND window_seconds = 3600
          AND indicator = %(indicator)s AND window_start >= %(start)s AND window_start < %(end)s
        """,
        {
            "service": objective.service,
            "slo": objective.name,
            "version": objective.version,
            "indicator": objective.indicator.version,
            "start": end - timedelta(days=objective.period.days),
            "end": end,
        },
    )
    return Sums(
        int(row["good"]),
        int(row["total"]),
        int(row["hours"]),
        (int(row["entered"]), int(row["debited"])),
        (int(row["adjusted"]), int(row["bad"])),
    )


def _ratio_by_rule(
    prometheus: Prometheus, loaded: Sequence[Rule], objective: Objective, end: datetime
) -> float | str | None:
    """Compute the ratio over raw samples as the rules do, if Prometheus has loaded the objective's.

    What the rules recorded may begin later than the samples do. Text says why there is no answer.
    """
    for name, query in event_rates.recordings(objective).items():
        matching = [
            rule for rule in loaded if rule.name == name and rule.labels.get("sloth_id") == objective.id
        ]
        if len(matching) != 1:
            return (
                f"Prometheus has {len(matching)} rules {name} of it: load what 'ops-platform slo rules' "
                "generates"
            )
        if matching[0].health == "err":
            return f"the rule {name} fails: {matching[0].last_error}"
        # Prometheus has its own way of writing both.
        written = [promql_parser.parse(text).prettify() for text in (matching[0].query, query)]
        if written[0] != written[1]:
            return f"Prometheus has another rule {name}: load what 'ops-platform slo rules' generates"
    answer = prometheus.query(event_rates.raw_ratio(objective), at=end)
    if answer.warnings:
        return f"Prometheus answers in part: {answer.warnings[0]}"
    return answer.series[0].value if answer.series else None


def _hours_with_samples(prometheus: Prometheus, objective: Objective, end: datetime) -> int:
    """Count the hours of the period at whose ends Prometheus has samples of all events."""
    days, total = objective.period.days, objective.indicator.total.query
    answer = prometheus.query(f"count_over_time(count({total})[{days}d:1h])", at=end)
    # The range may be closed at both ends.
    return min(24 * days, int(answer.series[0].value)) if answer.series else 0


def _pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]} events of which {pair[1]} are bad"
