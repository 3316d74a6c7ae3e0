"""Sloth's files (prometheus/v1) and Kubernetes objects (PrometheusServiceLevel)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    NumberLiteral,
    ParenExpr,
    SubqueryExpr,
    VectorSelector,
)

from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.importing import conversion
from ops_platform.slo.importing.conversion import Imported, Path
from ops_platform.slo.objectives import promql

VERSION = "prometheus/v1"
API_VERSION = "sloth.slok.dev/v1"
DAYS = 30
"""Sloth's own period, unless its command line names another."""
_WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
_OPPOSITE = {"<": "gte", "<=": "gt", ">": "lte", ">=": "lt"}


@dataclass(frozen=True)
class _Keys:
    """How a file, or a Kubernetes object, spells the keys."""

    errors: str
    total: str
    raw: str
    page: str
    ticket: str
    plugins: str


FILE = _Keys("error_query", "total_query", "error_ratio_query", "page_alert", "ticket_alert", "slo_plugins")
OBJECT = _Keys("errorQuery", "totalQuery", "errorRatioQuery", "pageAlert", "ticketAlert", "sloPlugins")


def convert_file(source: Document, value: dict[str, Any], imported: Imported) -> None:
    """Convert a document of a Sloth file. Raises ConfigurationError with file and line."""
    imported.drop_others(source, (), value, ("version", "service", "labels", "slos"))
    _convert(source, value, (), FILE, imported, {})


def convert_object(source: Document, value: dict[str, Any], imported: Imported) -> None:
    """Convert a Kubernetes object. Raises ConfigurationError with file and line."""
    if value.get("kind") != "PrometheusServiceLevel":
        raise ConfigurationError(f"{source.at(('kind',))}: only a PrometheusServiceLevel can be imported")
    spec = conversion.mapping(source, value.get("spec"), ("spec",), "an object has a spec")
    meta = value.get("metadata")
    imported.drop_others(source, ("spec",), spec, ("service", "labels", "slos"))
    _convert(
        source,
        spec,
        ("spec",),
        OBJECT,
        imported,
        _labels((meta if isinstance(meta, dict) else {}).get("labels")),
    )


def _convert(
    source: Document,
    value: dict[str, Any],
    path: Path,
    keys: _Keys,
    imported: Imported,
    labels: Mapping[str, str],
) -> None:
    slos = value.get("slos")
    if not isinstance(value.get("service"), str) or not isinstance(slos, list) or not slos:
        raise ConfigurationError(f"{source.at(path)}: a Sloth file names a service and its slos")
    service = conversion.plain_name(source, value["service"], (*path, "service"))
    for number, slo in enumerate(slos):
        inside = (*path, "slos", number)
        if not isinstance(slo, dict) or not isinstance(slo.get("name"), str):
            raise ConfigurationError(f"{source.at(inside)}: an SLO needs a name")
        imported.drop_others(
            source, inside, slo, ("name", "objective", "description", "labels", "sli", "alerting")
        )
        name = conversion.plain_name(source, slo["name"].lower().replace("_", "-"), (*inside, "name"))
        percent = conversion.percentage(source, slo.get("objective"), (*inside, "objective"))
        given, annotations = conversion.target(percent)
        indicator, compared = _indicator(source, slo, inside, keys, imported)
        document = conversion.slo(
            name,
            service,
            indicator=indicator,
            window={"duration": f"{DAYS}d", "isRolling": True},
            objectives=[{**given, **compared}],
            description=str(slo.get("description") or ""),
            labels={**labels, **_labels(value.get("labels")), **_labels(slo.get("labels"))},
            annotations={
                **annotations,
                **_alerting(source, slo.get("alerting"), (*inside, "alerting"), keys, imported),
            },
        )
        imported.add(source, (*inside, "name"), document)


def _labels(given: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}


def _indicator(
    source: Document, slo: dict[str, Any], path: Path, keys: _Keys, imported: Imported
) -> tuple[dict[str, Any], dict[str, Any]]:
    sli, inside = slo.get("sli"), (*path, "sli")
    if isinstance(sli, dict) and isinstance(sli.get("raw"), dict) and set(sli["raw"]) == {keys.raw}:
        query = _windowed(source, sli["raw"][keys.raw], (*inside, "raw", keys.raw))
        return {"ratioMetric": {"rawType": "failure", "raw": conversion.metric(query)}}, {}
    events = sli.get("events") if isinstance(sli, dict) else None
    if not isinstance(events, dict) or set(events) != {keys.errors, keys.total}:
        plugin = isinstance(sli, dict) and "plugin" in sli
        raise ConfigurationError(
            f"{source.at(inside)}: only sli.events with {keys.errors} and {keys.total}, or sli.raw, "
            "can be counted"
            + (": a plugin makes its query when Sloth runs; write that query down" if plugin else "")
        )
    paths = ((*inside, "events", keys.errors), (*inside, "events", keys.total))
    bad_query, total_query = (
        _windowed(source, events[key], path_of)
        for key, path_of in zip((keys.errors, keys.total), paths, strict=True)
    )
    compared = _compared(bad_query, total_query)
    if compared is not None:
        imported.drop(
            source,
            paths[0],
            "is counted by sample, as it is scraped; Sloth counts once for each evaluation of a rule",
        )
        return compared
    bad = conversion.events(source, bad_query, paths[0])
    total = conversion.events(source, total_query, paths[1])
    return conversion.ratio(bad, total, source, paths), {}


def _windowed(source: Document, query: Any, path: Path) -> str:
    text = str(query)
    if not _WINDOW.search(text):
        raise ConfigurationError(f"{source.at(path)}: has no {{{{.window}}}}: {' '.join(text.split())}")
    return text.strip()


def _compared(bad: str, total: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read ``sum_over_time(count(x < 0.5)[w:])`` of ``sum_over_time(count(x)[w:])``; None: it is not that."""
    try:
        wrong, every = (_counted(promql_parser.parse(promql.with_ranges(query))) for query in (bad, total))
    except ValueError:
        return None
    if not isinstance(wrong, BinaryExpr) or not isinstance(every, VectorSelector):
        return None
    gauge, limit = wrong.lhs, wrong.rhs
    operator = _OPPOSITE.get(str(wrong.op))
    if wrong.modifier is not None and wrong.modifier.return_bool:
        # Counts every sample, whatever it is.
        return None
    if operator is None or not isinstance(gauge, VectorSelector) or not isinstance(limit, NumberLiteral):
        return None
    if gauge.prettify() != every.prettify():
        return None
    return (
        {"thresholdMetric": conversion.metric(gauge.prettify())},
        {"op": operator, "value": float(limit.val)},
    )


def _counted(expression: object) -> object:
    """Find what is counted in ``sum_over_time(count(...)[w:])``; None: it is something else."""
    while isinstance(expression, ParenExpr):
        expression = expression.expr
    if isinstance(expression, BinaryExpr) and str(expression.op) == "or":
        return _counted(expression.lhs) if promql.is_zero(expression.rhs) else None
    if isinstance(expression, Call) and expression.func.name == "sum_over_time":
        [argument] = expression.args
        return _counted(argument.expr) if isinstance(argument, SubqueryExpr) else None
    if (
        isinstance(expression, AggregateExpr)
        and str(expression.op) == "count"
        and expression.modifier is None
    ):
        inner = expression.expr
        while isinstance(inner, ParenExpr):
            inner = inner.expr
        return inner
    return None


def _alerting(source: Document, alerting: Any, path: Path, keys: _Keys, imported: Imported) -> dict[str, str]:
    """Write the alerts' options as annotations."""
    if not isinstance(alerting, dict):
        return {}
    made: dict[str, str] = {}
    imported.drop_others(source, path, alerting, ("name", "labels", "annotations", keys.page, keys.ticket))
    kinds = ((keys.page, "burn-fast"), (keys.ticket, "burn-slow"))
    disabled = []
    for key, kind in kinds:
        alert = alerting.get(key)
        alert = alert if isinstance(alert, dict) else {}
        imported.drop_others(source, (*path, key), alert, ("disable", "labels", "annotations"))
        if alert.get("disable"):
            disabled.append(kind)
            continue
        name = alerting.get("name")
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
            made[f"ops-platform/alert-name.{kind}"] = name
        elif name is not None:
            imported.drop(
                source, (*path, "name"), f"{name} is dropped: an alert's name has letters, digits and _"
            )
        for what in ("label", "annotation"):
            for place, given in (
                ((*path, f"{what}s"), alerting.get(f"{what}s")),
                ((*path, key, f"{what}s"), alert.get(f"{what}s")),
            ):
                for label, text in _labels(given).items():
                    made |= _option(source, (*place, label), (what, kind), (label, text), imported)
    if disabled:
        made["ops-platform/alert-disable"] = ",".join(disabled)
    return made


def _option(
    source: Document, path: Path, of: tuple[str, str], pair: tuple[str, str], imported: Imported
) -> dict[str, str]:
    (what, kind), (label, text) = of, pair
    if what == "label" and label == "severity":
        if text in ("critical", "warning"):
            return {f"ops-platform/alert-severity.{kind}": text}
        imported.drop(source, path, f"severity {text} is dropped: it is critical or warning here")
        return {}
    if (
        _LABEL.fullmatch(label) is None
        or label in ("alertname", "service", "slo")
        or label.startswith(("sloth_", "__"))
    ):
        imported.drop(
            source, path, f"the {what} {label} is dropped: its name is the rules' own, or none of Prometheus'"
        )
        return {}
    return {f"ops-platform/alert-{what}-{label}.{kind}": text}
