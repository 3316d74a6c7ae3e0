"""Alerts of an objective: on the burn that Prometheus sees within seconds, and on the exact figures.

The exact figures (``slo_verdict`` and others) come from the agent, by the hour. A burn alert carries
``sloth_severity``, as Sloth's do; the others do not, since they say nothing of how fast a budget burns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ops_platform.slo.objectives import burn_tiers, event_rates
from ops_platform.slo.objectives.alert_options import KINDS
from ops_platform.slo.objectives.burn_tiers import Tier, duration
from ops_platform.slo.objectives.event_rates import own
from ops_platform.slo.objectives.indicator import PARTS
from ops_platform.slo.objectives.model import Objective

BURN_ALERTS = FAST, SLOW = KINDS["burn-fast"][0], KINDS["burn-slow"][0]
"""Other alerts that carry an objective's labels say nothing of its budget's burn."""
FIGURES = frozenset(("spent", "undecided"))
"""Kinds of alerts on the exact figures, which only the Prometheus that scrapes the agent has."""
SPENT, UNDECIDED, ABSENT = (KINDS[kind][0] for kind in ("spent", "undecided", "absent"))
RUNBOOK = "docs/runbooks/slo.md"
_SEVERITIES = {"burn-fast": "critical", "burn-slow": "warning"}
_PAGES = {"critical": "page", "warning": "ticket"}
_HALF = 0.5
"""Prometheus extrapolates: one event is about one, and none is about none."""
_PART = 0.5 / PARTS
"""Half of the least part of which shares are counted."""


def burning_objective(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Find the (service, objective) whose burning budget an alert with these labels reports.

    None: it is another alert.
    """
    service, slo = labels.get("service"), labels.get("slo")
    burns = labels.get("alertname") in BURN_ALERTS or "sloth_severity" in labels
    if not service or not slo or not burns:
        return None
    return (service, slo) if labels.get("sloth_id") == f"{service}-{slo}" else None


def alerts(objective: Objective) -> list[dict[str, Any]]:
    """Build the objective's alerts, without those that its document disables."""
    bad = "bad are {{ $value | humanizePercentage }}."
    texts: dict[str, tuple[str, str]] = {
        "burn-fast": ("the error budget is spent fast: at this pace the promise breaks within days", bad),
        "burn-slow": ("the error budget is spent faster than it is earned", bad),
        "spent": (
            "the error budget is spent",
            f"Counted exactly over {_period(objective)}, whatever its unknown hours held.",
        ),
        "undecided": (
            "whether it is met is not known",
            f"{{{{ $value }}}} hours of {_period(objective)} are not known, and the verdict depends on them.",
        ),
        "absent": (
            "Prometheus has no sample of its events",
            "Nobody can be told of bad events, and the hours from now on are not known.",
        ),
    }
    if objective.target == 1:
        texts["burn-fast"] = ("the error budget has none to spend, and there were bad events", bad)
        texts["spent"] = ("there were bad events, and none are allowed", texts["spent"][1])
    expressions = {
        **_burning(objective),
        "spent": (_verdict(objective, "breached"), None),
        "undecided": (_undecided(objective), "1h"),
        "absent": (f"absent(sum({objective.indicator.total.query}))", "10m"),
    }
    return [
        _alert(objective, kind, expression, held, *texts[kind])
        for kind, (expression, held) in expressions.items()
        if kind not in objective.alerts.disabled
    ]


def _burning(objective: Objective) -> dict[str, tuple[str, str | None]]:
    """Write the conditions of the burn alerts by kind, and how long each must hold."""
    shortest = event_rates.shortest(objective)
    if objective.target == 1:
        least = _PART if objective.indicator.shares else _HALF
        some = f"({event_rates.count(objective, shortest, bad=True)} > {number(least)})"
        return {"burn-fast": (f"{_ratio(objective, shortest)} > 0 and {some}", None)}
    tiers = burn_tiers.tiers(objective)
    return {
        kind: (
            " or ".join(_tier(objective, tier, tiers) for tier in tiers if tier.severity == severity),
            None,
        )
        for kind, severity in _SEVERITIES.items()
    }


def _tier(objective: Objective, tier: Tier, tiers: Sequence[Tier]) -> str:
    above = number(float(tier.factor * objective.budget))
    windows = (tier.long_minutes, tier.short_minutes)
    conditions = [f"({_ratio(objective, minutes)} > {above})" for minutes in windows]
    if objective.alerts.min_events:
        enough = _enough(objective, tier)
        if tier == tiers[-1]:
            # A ticket: without it a service of few events would spend its budget in silence. But while rules
            # are younger than the window, the first bad event is a share of next to nothing.
            recorded = f"{event_rates.names(objective)[0]}{own(objective)} offset {tier.long}"
            enough = f"({enough} or {recorded})"
        conditions.append(enough)
    return f"({' and '.join(conditions)})"


def _enough(objective: Objective, tier: Tier) -> str:
    """Write when a tier's long window holds enough: one bad event of three at night wakes nobody."""
    least = objective.alerts.min_events - _HALF
    enough = f"({event_rates.count(objective, tier.long_minutes, bad=False)} > {least})"
    # Of shares two whole bad ones may be the budget of months.
    if objective.indicator.shares:
        return enough
    return f"{enough} and ({event_rates.count(objective, tier.long_minutes, bad=True)} > {1 + _HALF})"


def _ratio(objective: Objective, minutes: Any) -> str:
    return f"max without(sloth_window) (slo:sli_error:ratio_rate{duration(minutes)}{own(objective)})"


def _figure(objective: Objective, metric: str, **more: str) -> str:
    """Select the newest exact figure over the objective's own period, whichever agent exports it."""
    matchers = {"service": objective.service, "slo": objective.name, "window": str(objective.period), **more}
    inside = ", ".join(f'{name}="{value}"' for name, value in matchers.items())
    return f"{metric}{{{inside}}}"


def _verdict(objective: Objective, verdict: str) -> str:
    return f"max by (service, slo) ({_figure(objective, 'slo_verdict', verdict=verdict)}) == 1"


def _undecided(objective: Objective) -> str:
    """Write when the verdict is not known, though the objective is not new.

    Of a new objective fewer hours are unknown from day to day.
    """
    unknown = _figure(objective, "slo_unknown_hours")
    now, before = (f"max by (service, slo) ({unknown}{offset})" for offset in ("", " offset 1d"))
    return f"{now} and ({_verdict(objective, 'undecided')}) and ({now} > {before} - 12)"


def _period(objective: Objective) -> str:
    period = objective.period
    if period.kind == "rolling":
        return f"the last {period.days} days"
    return "the calendar month" if period.kind == "month" else "the calendar's period"


def _alert(
    objective: Objective, kind: str, expr: str, held: str | None, state: str, detail: str
) -> dict[str, Any]:
    options = objective.alerts
    severity = options.severity(kind)
    # A name of its own has the usual alert's section in the runbook.
    runbook = objective.runbook_url or f"{RUNBOOK}#{KINDS[kind][0].lower()}"
    return {
        "alert": options.name(kind),
        "expr": expr,
        **({} if held is None else {"for": held}),
        "labels": {
            **literals({**dict(objective.labels), **options.labels(kind)}),
            "severity": severity,
            "service": objective.service,
            "slo": objective.name,
            **event_rates.labels(objective),
            **({"sloth_severity": _PAGES[severity]} if kind in _SEVERITIES else {}),
        },
        "annotations": {
            **literals(dict(objective.annotations)),
            "summary": f"{literal(objective.title)}: {state}",
            "description": f"{literal(objective.description)} Promised are "
            f"{number(float(objective.target * 100))} %; {detail}"
            if kind in _SEVERITIES
            else f"{literal(objective.description)} {detail}",
            "runbook_url": literal(runbook),
            **literals(options.annotations(kind)),
        },
    }


def literals(texts: Mapping[str, str]) -> dict[str, str]:
    """Write what a document says under names that Prometheus takes, escaped as ``literal`` does."""
    return {
        re.sub(r"^(?=\d)", "_", re.sub(r"[^A-Za-z0-9_]", "_", name)): literal(text)
        for name, text in texts.items()
    }


def literal(text: str) -> str:
    """Escape text for labels and annotations, which Prometheus expands as templates."""
    return text.replace("{{", '{{"{{"}}')


def number(value: float) -> str:
    """Write a decimal that PromQL reads as this float."""
    return repr(value)
