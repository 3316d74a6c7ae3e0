"""Documents of OpenSLO v1alpha: SLO and Service."""

from __future__ import annotations

from typing import Any

from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.importing import conversion
from ops_platform.slo.importing.conversion import Imported, Path

API_VERSION = "openslo/v1alpha"
_UNITS = {"Minute": "m", "Hour": "h", "Day": "d", "Week": "w", "Month": "M", "Quarter": "Q", "Year": "Y"}
SLICE = "1m"
"""The length of a time slice: v1alpha does not name one."""


def convert(source: Document, value: dict[str, Any], imported: Imported) -> None:
    """Convert a document. Raises ConfigurationError with file and line."""
    meta = conversion.mapping(source, value.get("metadata"), ("metadata",), "a document has metadata")
    imported.drop_others(source, ("metadata",), meta, ("name", "displayName"))
    name = conversion.plain_name(source, meta.get("name"), ("metadata", "name"))
    spec = conversion.mapping(source, value.get("spec", {}), ("spec",), "a document has a spec")
    if value.get("kind") == "Service":
        shown = {"displayName": meta["displayName"]} if meta.get("displayName") else {}
        description = {"description": str(spec["description"])} if spec.get("description") else {}
        imported.add(
            source,
            ("metadata", "name"),
            {
                "apiVersion": "openslo/v1",
                "kind": "Service",
                "metadata": {"name": name, **shown},
                "spec": description,
            },
        )
        return
    if value.get("kind") != "SLO":
        raise ConfigurationError(f"{source.at(('kind',))}: only an SLO and a Service can be imported")
    _slo(source, name, meta, spec, imported)


def _slo(source: Document, name: str, meta: dict[str, Any], spec: dict[str, Any], imported: Imported) -> None:
    imported.drop_others(
        source,
        ("spec",),
        spec,
        ("description", "service", "indicator", "timeWindows", "budgetingMethod", "objectives"),
    )
    service = conversion.plain_name(source, spec.get("service"), ("spec", "service"))
    objectives = spec.get("objectives")
    if not isinstance(objectives, list) or not objectives:
        raise ConfigurationError(f"{source.at(('spec',))}: an SLO has objectives")
    method = str(spec.get("budgetingMethod"))
    for number, objective in enumerate(objectives):
        path: Path = ("spec", "objectives", number)
        given = conversion.mapping(source, objective, path, "an objective holds its target")
        known = ("displayName", "op", "value", "target", "timeSliceTarget", "ratioMetrics")
        imported.drop_others(source, path, given, known)
        indicator = _indicator(source, spec, given, path, imported)
        kept: dict[str, Any] = {
            key: given[key] for key in ("displayName", "target", "timeSliceTarget") if key in given
        }
        if "thresholdMetric" in indicator:
            kept |= {key: given[key] for key in ("op", "value") if key in given}
        elif "value" in given:
            imported.drop(source, (*path, "value"), "value is dropped: a ratio has only its target")
        if method == "Timeslices":
            kept["timeSliceWindow"] = SLICE
            imported.drop(source, path, f"names no time slice: {SLICE} is taken")
            if "timeSliceTarget" not in given:
                raise ConfigurationError(f"{source.at(path)}: Timeslices need a timeSliceTarget")
        own = name if len(objectives) == 1 else f"{name}-{number + 1}"
        document = conversion.slo(
            conversion.plain_name(source, own, ("metadata", "name")),
            service,
            indicator=indicator,
            window=_window(source, spec.get("timeWindows"), imported),
            objectives=[_plain(kept)],
            description=str(spec.get("description") or ""),
            method=method,
            display_name=meta.get("displayName"),
        )
        imported.add(source, path, document)


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """Write numbers as YAML has them: a Decimal of the reader's becomes the float of the same digits."""
    return {key: value if isinstance(value, str | int) else float(value) for key, value in given.items()}


def _indicator(
    source: Document, spec: dict[str, Any], objective: dict[str, Any], path: Path, imported: Imported
) -> dict[str, Any]:
    ratio = objective.get("ratioMetrics")
    if isinstance(ratio, dict):
        inside = (*path, "ratioMetrics")
        imported.drop_others(source, inside, ratio, ("incremental", "counter", "good", "bad", "total"))
        made: dict[str, Any] = {}
        for said in ("incremental", "counter"):
            if said in ratio and ratio[said] is not True:
                raise ConfigurationError(
                    f"{source.at((*inside, said))}: values that are no counter count no events: "
                    "use a thresholdMetric"
                )
            # Of what does not say so, its reader is told.
            made |= {"counter": True} if said in ratio else {}
        for part in ("good", "bad", "total"):
            if part in ratio:
                made[part] = _metric(source, ratio[part], (*inside, part), imported)
        return {"ratioMetric": made}
    indicator = spec.get("indicator")
    if not isinstance(indicator, dict) or indicator.get("thresholdMetric") is None:
        raise ConfigurationError(f"{source.at(path)}: has neither ratioMetrics nor a thresholdMetric")
    imported.drop_others(source, ("spec", "indicator"), indicator, ("thresholdMetric",))
    return {
        "thresholdMetric": _metric(
            source, indicator["thresholdMetric"], ("spec", "indicator", "thresholdMetric"), imported
        )
    }


def _metric(source: Document, metric: Any, path: Path, imported: Imported) -> dict[str, Any]:
    given = conversion.mapping(source, metric, path, "a metric names its source and query")
    # Every query is PromQL here; that it is need not be said.
    plain = ("queryType",) if str(given.get("queryType")).lower() == "promql" else ()
    imported.drop_others(source, path, given, ("source", "query", *plain))
    kind = str(given.get("source", ""))
    if kind.lower() not in ("prometheus", "thanos", "mimir", "cortex"):
        raise ConfigurationError(f"{source.at(path)}: is of {kind}: only Prometheus is asked here")
    return conversion.metric(str(given.get("query")).strip())


def _window(source: Document, windows: Any, imported: Imported) -> dict[str, Any]:
    path: Path = ("spec", "timeWindows")
    if not isinstance(windows, list) or len(windows) != 1 or not isinstance(windows[0], dict):
        raise ConfigurationError(f"{source.at(path)}: must hold one window")
    [window] = windows
    unit = _UNITS.get(str(window.get("unit")))
    if unit is None or not isinstance(window.get("count"), int):
        raise ConfigurationError(f"{source.at((*path, 0))}: has a count and a unit: {', '.join(_UNITS)}")
    imported.drop_others(source, (*path, 0), window, ("unit", "count", "isRolling", "calendar"))
    made: dict[str, Any] = {"duration": f"{window['count']}{unit}"}
    if window.get("calendar") is not None:
        calendar = conversion.mapping(
            source, window["calendar"], (*path, 0, "calendar"), "has startTime, timeZone"
        )
        return {**made, "isRolling": False, "calendar": {key: str(text) for key, text in calendar.items()}}
    if window.get("isRolling") is False:
        raise ConfigurationError(f"{source.at((*path, 0))}: a window that does not roll has a calendar")
    return {**made, "isRolling": True}
