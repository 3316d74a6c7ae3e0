"""Deciding: every check of the policy in its order, then the overrides that hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ops_platform.gate import platform_checks, service_checks
from ops_platform.gate.decision import Decision, Reason
from ops_platform.gate.facts import Facts
from ops_platform.gate.override import Override
from ops_platform.gate.policy import Policy

Check = Callable[[Facts, Policy, str | None], Reason]

_CHECKS: Mapping[str, Check] = {
    "agent": platform_checks.agent,
    "budgets": service_checks.budgets,
    "alerts": service_checks.alerts,
    "recovery_point": platform_checks.recovery_point,
    "proven_sets": platform_checks.proven_sets,
    "exercises": platform_checks.exercises,
    "requests": platform_checks.requests,
    "ledger": platform_checks.ledger,
    "migrations": platform_checks.migrations,
    "freeze": platform_checks.freeze,
}


def decide(
    facts: Facts, policy: Policy, service: str | None = None, overrides: Sequence[Override] = ()
) -> Decision:
    """Decide about a service (None: all of them). Pure: the same facts give the same decision."""
    reasons = [_CHECKS[name](facts, policy, service) for name in policy.checks]
    return Decision(
        service, facts.now, [_overridden(reason, facts, service, overrides) for reason in reasons]
    )


def _overridden(reason: Reason, facts: Facts, service: str | None, overrides: Sequence[Override]) -> Reason:
    if reason.verdict == "allow":
        return reason
    for override in overrides:
        if override.holds(reason.check, service, facts.now):
            return replace(reason, verdict="allow", override=override.said())
    return reason
