"""OpenSLO documents from Sloth's files (prometheus/v1). Queries are taken apart to the counters in them.

Sloth takes any PromQL; here only sums of rates of counters can be counted exactly. Alerting options
are not carried over, since alerts are generated from the objective.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Call, MatrixSelector, ParenExpr

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.objectives.documents import NAME
from ops_platform.slo.objectives.selector import Selector

VERSION = "prometheus/v1"
_WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}")
DAYS = 30
"""Sloth's own period, unless its command line names another."""


def convert(file: Path) -> dict[str, dict[str, Any]]:
    """Convert a Sloth file to OpenSLO documents, by the file name for each.

    Raises ConfigurationError with file and line.
    """
    documents: dict[str, dict[str, Any]] = {}
    for source in lined_yaml.load(file):
        value = source.value
        if not isinstance(value, dict) or value.get("version") != VERSION:
            raise ConfigurationError(f"{source.at(('version',))}: is not a Sloth file (version: {VERSION})")
        slos = value.get("slos")
        if not isinstance(value.get("service"), str) or not isinstance(slos, list) or not slos:
            raise ConfigurationError(f"{source.at(())}: a Sloth file names a service and its slos")
        service = _name(source, value["service"], ("service",))
        for number, slo in enumerate(slos):
            path = ("slos", number)
            document = _document(source, service, slo, path)
            name = f"{service}-{document['metadata']['name']}.yaml"
            if name in documents:
                raise ConfigurationError(
                    f"{source.at((*path, 'name'))}: {slo['name']} becomes {name}, as another SLO does: "
                    "choose another name"
                )
            documents[name] = document
    return documents


def _name(source: Document, text: str, path: tuple[str | int, ...]) -> str:
    """Check a name. It becomes part of a file's name too: nothing in it may lead elsewhere."""
    if re.fullmatch(NAME, text) is None:
        raise ConfigurationError(
            f"{source.at(path)}: {text!r} is not a name that OpenSLO accepts: small letters, digits and "
            "hyphens between them, at most 63"
        )
    return text


def _document(source: Document, service: str, slo: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
    if not isinstance(slo, dict) or not isinstance(slo.get("name"), str):
        raise ConfigurationError(f"{source.at(path)}: an SLO needs a name")
    objective = slo.get("objective")
    if isinstance(objective, bool) or not isinstance(objective, int | Decimal) or not 0 < objective <= 100:
        raise ConfigurationError(f"{source.at((*path, 'objective'))}: must be a percentage up to 100")
    metadata: dict[str, Any] = {"name": _name(source, slo["name"].lower().replace("_", "-"), (*path, "name"))}
    if objective == 100:
        metadata["annotations"] = {"ops-platform/target": "1"}
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": metadata,
        "spec": {
            "description": str(slo.get("description") or ""),
            "service": service,
            "indicator": {"spec": {"ratioMetric": _ratio(source, slo, path)}},
            "timeWindow": [{"duration": f"{DAYS}d", "isRolling": True}],
            "budgetingMethod": "Occurrences",
            # In percent, as it was written: 99.9 / 100 has no exact float.
            "objectives": [{"target": 0.999999} if objective == 100 else {"targetPercent": float(objective)}],
        },
    }


def _ratio(source: Document, slo: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    events = slo.get("sli", {}).get("events") if isinstance(slo.get("sli"), dict) else None
    inside = (*path, "sli", "events")
    if not isinstance(events, dict) or set(events) != {"error_query", "total_query"}:
        raise ConfigurationError(
            f"{source.at((*path, 'sli'))}: only sli.events with error_query and total_query can be counted"
        )
    total = _selectors(source, str(events["total_query"]), (*inside, "total_query"))
    errors = _selectors(source, str(events["error_query"]), (*inside, "error_query"))
    if len(total) != 1:
        raise ConfigurationError(f"{source.at((*inside, 'total_query'))}: must be one sum of one rate")
    ratio: dict[str, Any] = {"counter": True}
    if len(errors) == 1:
        ratio["bad"] = _metric(errors[0])
    elif errors[0] == total[0]:
        # All but the good events.
        ratio["good"] = _metric(errors[1])
    else:
        raise ConfigurationError(
            f"{source.at((*inside, 'error_query'))}: a difference must take the good events from total_query"
        )
    ratio["total"] = _metric(total[0])
    return ratio


def _metric(selector: Selector) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": str(selector)}}}


def _selectors(source: Document, query: str, path: tuple[str | int, ...]) -> list[Selector]:
    """Extract the selectors: one from ``sum(rate(a[w]))``, two from ``sum(rate(a[w])) - sum(rate(b[w]))``."""
    where, plain = source.at(path), " ".join(query.split())
    if not _WINDOW.search(query):
        raise ConfigurationError(f"{where}: has no {{{{.window}}}}: {plain}")
    try:
        return _taken_apart(promql_parser.parse(_WINDOW.sub("5m", query)))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {plain} {error}") from None


def _taken_apart(expression: object) -> list[Selector]:
    if isinstance(expression, ParenExpr):
        return _taken_apart(expression.expr)
    if isinstance(expression, BinaryExpr) and str(expression.op) == "-":
        left, right = _taken_apart(expression.lhs), _taken_apart(expression.rhs)
        if len(left) == len(right) == 1:
            return [*left, *right]
    if isinstance(expression, AggregateExpr) and str(expression.op) == "sum" and expression.modifier is None:
        inner = expression.expr
        while isinstance(inner, ParenExpr):
            inner = inner.expr
        if isinstance(inner, Call) and inner.func.name in ("rate", "increase"):
            [argument] = inner.args
            if isinstance(argument, MatrixSelector):
                return [Selector.parse(argument.vector_selector.prettify())]
    raise ValueError("is more than sums of rates of counters, which alone can be counted exactly")
