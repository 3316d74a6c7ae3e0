"""The ledger against the rules: what was counted exactly, and what Prometheus reckons for its alerts.

The two come about in different ways from the same samples, so that a mistake in either shows.
Prometheus extrapolates and knows no exclusions: compared are ratios of raw counts, within a
tolerance that is a tenth of what may be bad, or of what is, and the events of a few scrapes. Where
less than KNOWN of the period is known to either side, nothing is compared, and nothing has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.prometheus import Prometheus, Rule
from ops_platform.slo.objectives import Objective

SHARE = Fraction(1, 10)
EVENTS = 10
KNOWN = Fraction(9, 10)
"""Of the period's hours: what is left may be other than the rest, and is no proof that both agree."""


@dataclass(frozen=True)
class Sums:
    """Over a period. ``ledger`` and ``counts`` are (all, bad) without what is excluded, and must be equal."""

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
    ruled: float | None
    tolerance: Fraction
    fault: str | None


def compare(
    ops: Connection, prometheus: Prometheus, objectives: Sequence[Objective], end: datetime
) -> list[Comparison]:
    """At ``end``, a full hour. Raises Unavailable when Prometheus cannot be asked."""
    loaded = prometheus.rules()
    return [
        judge(one, sums(ops, one, end), _ruled(prometheus, loaded, one, end), _held(prometheus, one, end))
        for one in objectives
    ]


def judge(one: Objective, found: Sums, ruled: float | str | None, held: int) -> Comparison:
    """``ruled``: the rule's error ratio; None without events; text: why there is no answer.

    ``held``: of how many hours of the period Prometheus has samples.
    """
    wanted = 24 * one.period.days
    exact = Fraction(found.total - found.good, found.total) if found.total else None
    tolerance = max(one.budget, exact or Fraction(0)) * SHARE
    if found.total:
        tolerance += Fraction(EVENTS, found.total)
    fault = None
    if found.ledger != found.counts:
        fault = f"the ledger has {_pair(found.ledger)}, the counts have {_pair(found.counts)}"
    elif found.hours < KNOWN * wanted:
        fault = f"only {_share(found.hours, wanted)} are counted and known"
    elif isinstance(ruled, str):
        fault = ruled
    elif held < KNOWN * wanted:
        fault = f"Prometheus has samples of only {_share(held, wanted)}"
    elif (exact is None) != (ruled is None):
        fault = f"{found.total} events were counted, and the rule sees {'none' if ruled is None else 'some'}"
    elif exact is not None and ruled is not None and abs(Fraction(ruled) - exact) > tolerance:
        fault = (
            f"bad are {float(exact):.6%} of the events counted and {ruled:.6%} by the rule, "
            f"more than {float(tolerance):.6%} apart"
        )
    return Comparison(one, exact, None if isinstance(ruled, str) else ruled, tolerance, fault)


def _share(hours: int, wanted: int) -> str:
    return f"{hours} of the {wanted} hours of the period ({float(KNOWN):.0%} must be)"


def sums(ops: Connection, one: Objective, end: datetime) -> Sums:
    """Of the hours of the period that ends at ``end`` and are known."""
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
            "service": one.service,
            "slo": one.name,
            "version": one.version,
            "indicator": one.indicator.version,
            "start": end - timedelta(days=one.period.days),
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


def _ruled(
    prometheus: Prometheus, loaded: Sequence[Rule], one: Objective, end: datetime
) -> float | str | None:
    """The rule as Prometheus has loaded it, reckoned at that moment: the record may be younger."""
    name = f"slo:sli_error:ratio_rate{one.period.days}d"
    found = [rule for rule in loaded if rule.name == name and rule.labels.get("sloth_id") == one.id]
    if len(found) != 1:
        return f"Prometheus has {len(found)} rules {name} of it: load what 'ops-platform slo rules' generates"
    if found[0].health == "err":
        return f"the rule {name} fails: {found[0].last_error}"
    answer = prometheus.query(found[0].query, at=end)
    if answer.warnings:
        return f"Prometheus answers in part: {answer.warnings[0]}"
    return answer.series[0].value if answer.series else None


def _held(prometheus: Prometheus, one: Objective, end: datetime) -> int:
    """At the ends of how many hours of the period Prometheus has samples of all events."""
    days, total = one.period.days, one.indicator.total.query
    answer = prometheus.query(f"count_over_time(count({total})[{days}d:1h])", at=end)
    # The range may be closed at both ends.
    return min(24 * days, int(answer.series[0].value)) if answer.series else 0


def _pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]} events of which {pair[1]} are bad"
