"""Rules of objectives as objects of Kubernetes: a PrometheusRule each, for the Prometheus Operator.

What the rules say is not here (``objectives.prometheus_rules``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives import prometheus_rules
from ops_platform.slo.objectives.model import Objective

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def text(
    objectives: Sequence[Objective],
    namespace: str | None,
    labels: Mapping[str, str],
    figures_of: Sequence[Objective] = (),
) -> str:
    """Write one object for each objective, so that none outgrows what Kubernetes stores.

    ``labels`` are those that the Operator's ruleSelector asks for; of ``figures_of`` there
    are only the alerts on the exact figures. Raises ConfigurationError on names that
    Kubernetes does not take.
    """
    rendered = [(objective, prometheus_rules.render([objective])) for objective in objectives]
    rendered += [(objective, prometheus_rules.render([], [objective])) for objective in figures_of]
    documents = [_rule(objective, spec, namespace, labels) for objective, spec in rendered if spec["groups"]]
    return prometheus_rules.HEADER + yaml.safe_dump_all(
        documents, sort_keys=False, width=110, explicit_start=True
    )


def parse_labels(given: Sequence[str]) -> dict[str, str]:
    """Parse labels written as ``key=value``. Raises ConfigurationError."""
    labels: dict[str, str] = {}
    for entry in given:
        key, equals, value = entry.partition("=")
        if not equals or _KEY.fullmatch(key) is None or _LABEL.fullmatch(value) is None:
            raise ConfigurationError(f"{entry!r} is no label of Kubernetes: write release=prometheus")
        if key in labels:
            raise ConfigurationError(f"the label {key} is given twice: keep one")
        labels[key] = value
    return labels


def _rule(
    objective: Objective, spec: dict[str, Any], namespace: str | None, labels: Mapping[str, str]
) -> dict[str, Any]:
    name = f"slo-{objective.id}"
    for what, value in (("name", name), ("namespace", namespace)):
        if value is not None and _NAME.fullmatch(value) is None:
            raise ConfigurationError(f"Kubernetes takes no {what} {value!r}: use a-z, 0-9, - and .")
    metadata: dict[str, Any] = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {"app.kubernetes.io/managed-by": "ops-platform", **labels}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": spec,
    }
