"""Alert policies that an SLO names or holds, with their conditions and targets."""

from __future__ import annotations

from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives.alert_policy import AlertPolicy
from ops_platform.slo.objectives.documents import written_period
from ops_platform.slo.objectives.documents.document_schema import (
    Condition,
    ConditionSpec,
    Notification,
    Policy,
    PolicyEntry,
    PolicySpec,
    Slo,
)
from ops_platform.slo.objectives.documents.written_object import Objects, Written


def policies(slo: Written[Slo], objects: Objects, notes: list[str]) -> tuple[AlertPolicy, ...]:
    """Read the policies of an SLO. Raises ConfigurationError, with file and line."""
    made = []
    for number, entry in enumerate(slo.value.spec.alertPolicies or ()):
        name, spec = _policy(slo.part(entry, "spec", "alertPolicies", number), objects)
        made.append(_made(name, spec, objects, notes))
    return tuple(made)


def _policy(entry: Written[PolicyEntry], objects: Objects) -> tuple[str, Written[PolicySpec]]:
    given = entry.value
    if given.alertPolicyRef is not None and given.spec is None:
        found = objects.referred(Policy, given.alertPolicyRef, entry.at("alertPolicyRef"))
        return given.alertPolicyRef, found.part(found.value.spec, "spec")
    if given.spec is None or given.alertPolicyRef is not None or given.metadata is None:
        raise ConfigurationError(f"{entry.at()}: give an alertPolicyRef, or kind, metadata and spec")
    return given.metadata.name, entry.part(given.spec, "spec")


def _made(name: str, policy: Written[PolicySpec], objects: Objects, notes: list[str]) -> AlertPolicy:
    spec = policy.value
    condition = _condition(policy, objects)
    burn = condition.value.condition
    window = written_period.seconds(burn.lookbackWindow)
    after = written_period.seconds(burn.alertAfter)
    if not window or after is None:
        raise ConfigurationError(
            f"{condition.at('condition')}: lookbackWindow and alertAfter are durations, as 1h or 5m"
        )
    if burn.op in ("lt", "lte"):
        notes.append(
            f"{condition.at('condition', 'op')}: fires while the budget burns slowly "
            f"({burn.op} {burn.threshold}): is gt meant?"
        )
    if spec.alertWhenResolved:
        notes.append(
            f"{policy.at('alertWhenResolved')}: that an alert is resolved is told by Alertmanager "
            "(send_resolved)"
        )
    return AlertPolicy(
        name=name,
        description=" ".join((condition.value.description or spec.description).split()),
        severity=condition.value.severity,
        operator=burn.op,
        threshold=burn.threshold,
        window_seconds=window,
        after_seconds=after,
        targets=_targets(policy, objects),
        when_breaching=spec.alertWhenBreaching,
        when_no_data=spec.alertWhenNoData,
    )


def _condition(policy: Written[PolicySpec], objects: Objects) -> Written[ConditionSpec]:
    [given] = policy.value.conditions
    entry = policy.part(given, "conditions", 0)
    if given.conditionRef is not None:
        found = objects.referred(Condition, given.conditionRef, entry.at("conditionRef"))
        return found.part(found.value.spec, "spec")
    if given.spec is None:
        raise ConfigurationError(f"{entry.at()}: give a conditionRef, or kind, metadata and spec")
    return entry.part(given.spec, "spec")


def _targets(policy: Written[PolicySpec], objects: Objects) -> tuple[str, ...]:
    names = []
    for number, given in enumerate(policy.value.notificationTargets):
        entry = policy.part(given, "notificationTargets", number)
        if given.targetRef is not None:
            names.append(
                objects.referred(Notification, given.targetRef, entry.at("targetRef")).value.metadata.name
            )
        elif given.metadata is not None and given.spec is not None:
            names.append(given.metadata.name)
        else:
            raise ConfigurationError(f"{entry.at()}: give a targetRef, or kind, metadata and spec")
    return tuple(names)
