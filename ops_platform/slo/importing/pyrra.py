"""Pyrra's Kubernetes objects (ServiceLevelObjective)."""

from __future__ import annotations

import re
from typing import Any

from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.importing import conversion
from ops_platform.slo.importing.conversion import Imported, Path

API_VERSION = "pyrra.dev/v1alpha1"
_DAYS = {"d": 1, "w": 7}
_SEVERITIES = {"fastBurn": "burn-fast", "slowBurn": "burn-slow", "absent": "absent"}


def convert(source: Document, value: dict[str, Any], imported: Imported) -> None:
    """Convert an object. Raises ConfigurationError with file and line."""
    if value.get("kind") != "ServiceLevelObjective":
        raise ConfigurationError(f"{source.at(('kind',))}: only a ServiceLevelObjective can be imported")
    meta = conversion.mapping(source, value.get("metadata"), ("metadata",), "an object has metadata")
    spec = conversion.mapping(source, value.get("spec"), ("spec",), "an object has a spec")
    imported.drop_others(
        source, ("spec",), spec, ("description", "target", "window", "indicator", "alerting")
    )
    name = conversion.plain_name(source, meta.get("name"), ("metadata", "name"))
    service = conversion.plain_name(source, meta.get("namespace") or name, ("metadata", "namespace"))
    if "namespace" not in meta:
        imported.drop(
            source, ("metadata",), f"names no namespace: its own name {name} stands for the service"
        )
    percent = conversion.percentage(source, spec.get("target"), ("spec", "target"))
    given, annotations = conversion.target(percent)
    indicator, compared = _indicator(source, spec, imported)
    labels = meta.get("labels")
    document = conversion.slo(
        name,
        service,
        indicator=indicator,
        window={"duration": _window(source, spec.get("window")), "isRolling": True},
        objectives=[{**given, **compared}],
        description=str(spec.get("description") or ""),
        labels={
            str(label).removeprefix("pyrra.dev/"): str(text)
            for label, text in (labels if isinstance(labels, dict) else {}).items()
        },
        annotations={**annotations, **_alerting(source, spec.get("alerting"), imported)},
    )
    imported.add(source, ("metadata", "name"), document)


def _window(source: Document, text: Any) -> str:
    match = re.fullmatch(r"([1-9]\d{0,2})([dw])", str(text))
    if match is None:
        raise ConfigurationError(
            f"{source.at(('spec', 'window'))}: must be whole days or weeks, as 28d or 4w"
        )
    return f"{int(match[1]) * _DAYS[match[2]]}d"


def _indicator(
    source: Document, spec: dict[str, Any], imported: Imported
) -> tuple[dict[str, Any], dict[str, Any]]:
    path: Path = ("spec", "indicator")
    indicator = conversion.mapping(source, spec.get("indicator"), path, "must name one indicator")
    if len(indicator) != 1:
        raise ConfigurationError(f"{source.at(path)}: must name one indicator")
    [(kind, given)] = indicator.items()
    inside = (*path, kind)
    given = conversion.mapping(source, given, inside, f"{kind} holds metrics")
    if given.get("grouping"):
        imported.drop(
            source,
            (*inside, "grouping"),
            f"grouping by {', '.join(map(str, given['grouping']))} is dropped: one objective counts all of "
            "them; the annotation ops-platform/grouping makes one for each value that it names",
        )
    if kind == "ratio":
        return _ratio(source, given, inside, "errors"), {}
    if kind == "latency":
        return _ratio(source, given, inside, "success"), {}
    if kind == "bool_gauge":
        return (
            {"thresholdMetric": conversion.metric(str(given.get("metric")))},
            {"op": "gte", "value": 1},
        )
    if kind == "latencyNative":
        raise ConfigurationError(
            f"{source.at(inside)}: native histograms are not counted: use latency with a bucket's le"
        )
    raise ConfigurationError(
        f"{source.at(inside)}: {kind} is none of ratio, latency, latencyNative, bool_gauge"
    )


def _ratio(source: Document, given: dict[str, Any], path: Path, part: str) -> dict[str, Any]:
    queries = {}
    for name in (part, "total"):
        inner = conversion.mapping(source, given.get(name), (*path, name), f"{name} holds a metric")
        queries[name] = conversion.events(source, inner.get("metric"), (*path, name, "metric"))
        if queries[name].less is not None:
            raise ConfigurationError(f"{source.at((*path, name))}: must be a selector")
    kind = "bad" if part == "errors" else "good"
    return {
        "ratioMetric": {
            "counter": True,
            kind: conversion.metric(str(queries[part].counter)),
            "total": conversion.metric(str(queries["total"].counter)),
        }
    }


def _alerting(source: Document, alerting: Any, imported: Imported) -> dict[str, str]:
    path: Path = ("spec", "alerting")
    if not isinstance(alerting, dict):
        return {}
    imported.drop_others(
        source, path, alerting, ("disabled", "burnrates", "absent", "name", "absentName", "severities")
    )
    disabled = []
    if alerting.get("disabled") or alerting.get("burnrates") is False:
        disabled += ["burn-fast", "burn-slow"]
    if alerting.get("disabled") or alerting.get("absent") is False:
        disabled.append("absent")
    made = {"ops-platform/alert-disable": ",".join(disabled)} if disabled else {}
    for key, kinds in (("name", ("burn-fast", "burn-slow")), ("absentName", ("absent",))):
        if alerting.get(key):
            made |= {f"ops-platform/alert-name.{kind}": str(alerting[key]) for kind in kinds}
    severities = alerting.get("severities")
    for tier, severity in (severities if isinstance(severities, dict) else {}).items():
        kind = _SEVERITIES.get(tier)
        if kind is None or severity not in ("critical", "warning"):
            imported.drop(
                source,
                (*path, "severities", tier),
                f"severity {severity} of {tier} is dropped: there are critical and "
                "warning, of fast and slow burns",
            )
        else:
            made[f"ops-platform/alert-severity.{kind}"] = str(severity)
    return made
