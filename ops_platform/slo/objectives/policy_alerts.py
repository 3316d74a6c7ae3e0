"""Alert rules that documents ask for themselves: OpenSLO's alert policies on the burn rate of one window."""

from __future__ import annotations

import re
from typing import Any

from ops_platform.slo.objectives.alert_policy import AlertPolicy
from ops_platform.slo.objectives.alert_rules import literal, literals
from ops_platform.slo.objectives.model import Objective

RUNBOOK = "docs/runbooks/slo.md#slopolicy"
_SIGNS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_CRITICAL = ("page", "critical", "sev1", "p1", "high")
"""Severities that wake somebody; all others are warnings."""


def rules(objective: Objective, policy: AlertPolicy, error_ratio: str) -> list[dict[str, Any]]:
    """Build a policy's rules, from the PromQL of the ratio of bad events over its window.

    None for an objective of 100 %: it has no budget that burns.
    """
    if objective.target == 1:
        return []
    made = []
    name = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", policy.name))
    burn = f"({error_ratio}) / {float(objective.budget)!r}"
    if policy.when_breaching:
        expr = f"{burn} {_SIGNS[policy.operator]} {float(policy.threshold)!r}"
        state = (
            f"its error budget burns {_SIGNS[policy.operator]} {policy.threshold:f} times as fast as it may"
        )
        made.append(_rule(objective, policy, f"SloPolicy{name}", expr, state))
    if policy.when_no_data:
        expr = f"absent({burn})"
        made.append(_rule(objective, policy, f"SloPolicy{name}NoData", expr, "has no burn rate"))
    return made


def _rule(objective: Objective, policy: AlertPolicy, alert: str, expr: str, state: str) -> dict[str, Any]:
    severity = "critical" if policy.severity.lower() in _CRITICAL else "warning"
    rule: dict[str, Any] = {"alert": alert, "expr": expr}
    if policy.after_seconds:
        rule["for"] = f"{policy.after_seconds}s"
    return {
        **rule,
        "labels": {
            **literals(dict(objective.labels)),
            "severity": severity,
            "openslo_severity": literal(policy.severity),
            "service": objective.service,
            "slo": objective.name,
            **({"notification_targets": literal(",".join(policy.targets))} if policy.targets else {}),
        },
        "annotations": {
            "summary": literal(f"{objective.title}: {state}"),
            "description": literal(policy.description or objective.description),
            "runbook_url": literal(objective.runbook_url or RUNBOOK),
        },
    }
