"""The ledger against the rules: exact counts, and the ratios that Prometheus computes for its alerts.

Of events of counters, the counts are compared with what ``rate`` makes of the raw samples of the period, and
with what the rules recorded over it, where there are records of at least KNOWN of its hours. Prometheus
extrapolates and knows no exclusions: ratios of raw counts are compared, within a tolerance of a tenth of the
bad events, allowed or counted, and the events of a few scrapes. Where less than KNOWN of the period is known
to the counts or to Prometheus' samples, nothing is compared, and nothing has passed.

Of samples of a gauge and of slices of time the rules look at moments, and come close to what is counted, not
within any tolerance that means much: only ledger and counts are compared, and that is said. The rules that
Prometheus has loaded must be those of the objective, of whatever kind it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

import promql_parser

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.prometheus import Prometheus, Rule
from ops_platform.errors import OpsError, Unavailable
from ops_platform.slo import counting
from ops_platform.slo.objectives import Objective, event_rates

SHARE = Fraction(1, 10)
"""Tolerance: of the ratio of bad events, allowed or counted, whichever is larger."""
EVENTS = 10
"""Tolerance on top, in events."""
KNOWN = Fraction(9, 10)
"""Share of the period's hours that must be known: fewer do not prove that both agree."""
MOMENTS = "not compared: its rules look at moments"
UNASKED = "not compared"


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
    """Error ratios of one objective over its period; ``fault`` is None when they agree.

    ``by_rate`` is made of raw samples, ``recorded`` by the rules; text says why one was not compared.
    """

    objective: Objective
    exact: Fraction | None
    by_rate: float | str | None
    recorded: float | str | None
    tolerance: Fraction
    fault: str | None


@dataclass(frozen=True)
class Ruled:
    """What Prometheus has of an objective's period.

    ``fault``: what is wrong with the loaded rules, or with an answer. ``by_rate`` and ``recorded`` are error
    ratios, None without events. For ``hours_with_samples`` and ``hours_recorded`` it has samples and records.
    """

    by_rate: float | None = None
    recorded: float | None = None
    hours_with_samples: int = 0
    hours_recorded: int = 0
    fault: str | None = None


def compare(
    ops: Connection, prometheus: Prometheus, objectives: Sequence[Objective], end: datetime
) -> list[Comparison]:
    """Compare each objective at ``end``, a full hour.

    A Prometheus that cannot be asked is a fault of its own objectives. Raises Unavailable when none can be.
    """
    ruled: dict[Objective, Ruled] = {}
    failed: list[OpsError] = []
    groups = counting.by_source(objectives)
    for group in groups:
        try:
            source = prometheus.source(group[0].indicator.source)
            loaded = source.rules()
            ruled.update({objective: ask(source, loaded, objective, end) for objective in group})
        except OpsError as error:
            failed.append(error)
            ruled.update({objective: Ruled(fault=f"could not be compared: {error}") for objective in group})
    if failed and len(failed) == len(groups):
        raise failed[0]
    return [judge(objective, sums(ops, objective, end), ruled[objective]) for objective in objectives]


def judge(objective: Objective, counted: Sums, ruled: Ruled) -> Comparison:
    """Judge whether the counted sums, the ledger and what Prometheus has agree."""
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
    elif ruled.fault is not None:
        fault = ruled.fault
    if not event_rates.counts_events(objective):
        return Comparison(objective, exact, MOMENTS, MOMENTS, tolerance, fault)
    if fault is not None:
        return Comparison(objective, exact, UNASKED, UNASKED, tolerance, fault)
    recorded: float | str | None = ruled.recorded
    if ruled.hours_with_samples < KNOWN * period_hours:
        fault = f"Prometheus has samples of only {_share(ruled.hours_with_samples, period_hours)}"
    else:
        fault = _apart(exact, counted.total, ruled.by_rate, "by rate", tolerance)
    if ruled.hours_recorded < KNOWN * period_hours:
        recorded = f"not compared: records of only {_share(ruled.hours_recorded, period_hours)}"
    elif fault is None:
        fault = _apart(exact, counted.total, ruled.recorded, "as the rule recorded", tolerance)
    return Comparison(objective, exact, ruled.by_rate, recorded, tolerance, fault)


def _apart(
    exact: Fraction | None, total: int, other: float | None, how: str, tolerance: Fraction
) -> str | None:
    """Say how two error ratios differ; None when they agree."""
    if (exact is None) != (other is None):
        return f"{total} events were counted, and Prometheus has {'none' if other is None else 'some'} {how}"
    if exact is not None and other is not None and abs(Fraction(other) - exact) > tolerance:
        return (
            f"{float(exact):.6%} of the counted events are bad, and {other:.6%} {how}: "
            f"more than {float(tolerance):.6%} apart"
        )
    return None


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


def ask(source: Prometheus, loaded: Sequence[Rule], objective: Objective, end: datetime) -> Ruled:
    """Ask the objective's Prometheus, which has ``loaded`` these rules. Raises Unavailable."""
    fault = _of_rules(loaded, objective)
    if fault is not None or not event_rates.counts_events(objective):
        return Ruled(fault=fault)
    period = f"{objective.period.days}d"
    both, _ = event_rates.summed_names(objective, Fraction(objective.period.days * event_rates.DAY))
    own = event_rates.own(objective)
    by_rate, recorded = (
        _value(source, query, end)
        for query in (
            event_rates.raw_ratio(objective),
            f"max without(sloth_window) (slo:sli_error:ratio_rate{period}{own})",
        )
    )
    samples, records = (
        _hours(source, query, objective, end)
        for query in (f"count({objective.indicator.total.query})", f"{both}{own}")
    )
    return Ruled(by_rate, recorded, samples, records)


def _of_rules(loaded: Sequence[Rule], objective: Objective) -> str | None:
    """Say which rule of the objective Prometheus has not, or not like this; None when it has all."""
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
    return None


def _value(source: Prometheus, query: str, at: datetime) -> float | None:
    answer = source.query(query, at=at)
    if answer.warnings:
        raise Unavailable(f"Prometheus answers in part: {answer.warnings[0]}")
    return answer.series[0].value if answer.series else None


def _hours(source: Prometheus, query: str, objective: Objective, end: datetime) -> int:
    """Count the hours of the period at whose ends Prometheus has a value."""
    days = objective.period.days
    value = _value(source, f"count_over_time(({query})[{days}d:1h])", end)
    # The range may be closed at both ends.
    return 0 if value is None else min(24 * days, int(value))


def _pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]} events of which {pair[1]} are bad"
