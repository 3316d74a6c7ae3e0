"""What all imports share: names, metadata, queries, and the list of what is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.objectives import promql
from ops_platform.slo.objectives.documents import NAME
from ops_platform.slo.objectives.promql import Events

Path = tuple[str | int, ...]


@dataclass
class Imported:
    """The documents by the name of the file for each, and what was dropped, one line each."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    def add(self, source: Document, path: Path, document: dict[str, Any]) -> None:
        """Add a document. Raises ConfigurationError when another one has its name."""
        name = document["metadata"]["name"]
        if document["kind"] == "SLO":
            name = f"{document['spec']['service']}-{name}"
        file = f"{name}.yaml"
        if file in self.documents:
            raise ConfigurationError(
                f"{source.at(path)}: {document['metadata']['name']} becomes {file}, as another SLO does: "
                "choose another name"
            )
        self.documents[file] = document

    def drop(self, source: Document, path: Path, what: str) -> None:
        """Say what is not carried over."""
        self.dropped.append(f"{source.at(path)}: {what}")

    def drop_others(
        self, source: Document, path: Path, given: Mapping[str, Any], known: Iterable[str]
    ) -> None:
        """Name the keys that nothing here reads."""
        for key in given:
            if key not in set(known):
                self.drop(source, (*path, key), f"{key} is dropped: there is nothing like it here")


def mapping(source: Document, value: Any, path: Path, what: str) -> dict[str, Any]:
    """Check that a value is a mapping. Raises ConfigurationError that says what it should be."""
    if not isinstance(value, dict):
        raise ConfigurationError(f"{source.at(path)}: {what}")
    return value


def plain_name(source: Document, text: Any, path: Path) -> str:
    """Check a name. It becomes part of a file's name too: nothing in it may lead elsewhere."""
    if not isinstance(text, str) or re.fullmatch(NAME, text) is None:
        raise ConfigurationError(
            f"{source.at(path)}: {text!r} is not a name that OpenSLO accepts: small letters, digits and "
            "hyphens between them, at most 63"
        )
    return text


def percentage(source: Document, value: Any, path: Path) -> Decimal:
    """Read a target in percent. Raises ConfigurationError."""
    try:
        number = (
            Decimal(value) if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else None
        )
    except ArithmeticError:
        number = None
    if number is None or not 0 < number <= 100:
        raise ConfigurationError(f"{source.at(path)}: must be a percentage up to 100")
    return number


def target(percent: Decimal) -> tuple[dict[str, float], dict[str, str]]:
    """Write a target in percent, with the annotation that 100 % needs."""
    if percent == 100:
        return {"target": 0.999999}, {"ops-platform/target": "1"}
    # As it was written: 99.9 / 100 has no exact float.
    return {"targetPercent": float(percent)}, {}


def slo(
    name: str,
    service: str,
    *,
    indicator: dict[str, Any],
    window: dict[str, Any],
    objectives: list[dict[str, Any]],
    description: str = "",
    method: str = "Occurrences",
    labels: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    display_name: str | None = None,
) -> dict[str, Any]:
    """Build an SLO document."""
    metadata: dict[str, Any] = {"name": name}
    metadata |= {"displayName": display_name} if display_name else {}
    metadata |= {"labels": dict(labels)} if labels else {}
    metadata |= {"annotations": dict(annotations)} if annotations else {}
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": metadata,
        "spec": {
            "description": description[:1050],
            "service": service,
            "indicator": {"spec": indicator},
            "timeWindow": [window],
            "budgetingMethod": method,
            "objectives": objectives,
        },
    }


def metric(query: str) -> dict[str, Any]:
    """Build a metric of a query."""
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def events(source: Document, query: Any, path: Path) -> Events:
    """Take a query of counters apart. Raises ConfigurationError with the reason where that cannot be done."""
    plain = " ".join(str(query).split())
    try:
        return promql.events(str(query))
    except ValueError as error:
        raise ConfigurationError(f"{source.at(path)}: {plain} {error}") from None


def ratio(bad: Events, total: Events, source: Document, paths: tuple[Path, Path]) -> dict[str, Any]:
    """Build a ratioMetric of bad and all events; of good ones where bad ones are all but those."""
    if total.less is not None:
        raise ConfigurationError(f"{source.at(paths[1])}: must be one sum of one rate")
    made: dict[str, Any] = {"counter": True}
    if bad.less is None:
        made["bad"] = metric(str(bad.counter))
    elif bad.counter == total.counter:
        made["good"] = metric(str(bad.less))
    else:
        raise ConfigurationError(
            f"{source.at(paths[0])}: a difference must take the good events from all of them, from "
            f"{total.counter}"
        )
    made["total"] = metric(str(total.counter))
    return {"ratioMetric": made}
