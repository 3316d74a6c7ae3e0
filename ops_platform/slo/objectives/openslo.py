"""Objectives from OpenSLO v1 documents. Anything that cannot be computed exactly is refused, with its line.

The kinds read are SLO, SLI (by ``indicatorRef``) and Service. Extensions are annotations: OpenSLO's
targets end below 1, so an objective of 100 % says ``ops-platform/target: "1"``;
``ops-platform/burn-window-scale`` makes the windows of its burn alerts shorter or longer, and
``ops-platform/runbook-url`` names a runbook of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.objectives.model import MONTH, Indicator, Objective, Period
from ops_platform.slo.objectives.selector import Selector

API_VERSION = "openslo/v1"
TARGET = "ops-platform/target"
RUNBOOK = "ops-platform/runbook-url"
BURN_WINDOWS = "ops-platform/burn-window-scale"
SHORTEST_SCALE, LONGEST_SCALE = Fraction(1, 5), Fraction(4)
"""The shortest burn window is then one minute, four scrapes; the longest twelve days."""
NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_DURATION = re.compile(r"(?P<count>[1-9][0-9]{0,3})(?P<unit>[mhdwMQY])")
MAX_DAYS = 90
"""The longest rolling period in days; sources keep little more."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class _Metadata(_Strict):
    name: Annotated[str, Field(pattern=NAME)]
    displayName: str | None = None
    labels: dict[str, Any] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class _Source(_Strict):
    metricSourceRef: str | None = None
    type: Literal["Prometheus", "prometheus"] | None = None
    spec: dict[str, str]


class _Metric(_Strict):
    metricSource: _Source


class _Ratio(_Strict):
    counter: Literal[True]
    good: _Metric | None = None
    bad: _Metric | None = None
    total: _Metric


class _SliSpec(_Strict):
    description: str = ""
    ratioMetric: _Ratio


class _Sli(_Strict):
    metadata: _Metadata | None = None
    spec: _SliSpec


class _Calendar(_Strict):
    startTime: str
    timeZone: Literal["UTC", "Etc/UTC"]


class _Window(_Strict):
    duration: str
    isRolling: bool
    calendar: _Calendar | None = None


class _Target(_Strict):
    displayName: str | None = None
    target: Annotated[Decimal, Field(gt=0, lt=1)] | None = None
    targetPercent: Annotated[Decimal, Field(gt=0, lt=100)] | None = None


class _SloSpec(_Strict):
    description: str = ""
    service: Annotated[str, Field(pattern=NAME)]
    indicator: _Sli | None = None
    indicatorRef: str | None = None
    timeWindow: Annotated[list[_Window], Field(min_length=1, max_length=1)]
    budgetingMethod: Literal["Occurrences"]
    objectives: Annotated[list[_Target], Field(min_length=1, max_length=1)]


class _Slo(_Strict):
    apiVersion: Literal["openslo/v1"]
    kind: Literal["SLO"]
    metadata: _Metadata
    spec: _SloSpec


class _SliDocument(_Strict):
    apiVersion: Literal["openslo/v1"]
    kind: Literal["SLI"]
    metadata: _Metadata
    spec: _SliSpec


class _ServiceDocument(_Strict):
    apiVersion: Literal["openslo/v1"]
    kind: Literal["Service"]
    metadata: _Metadata
    spec: dict[str, Any] = Field(default_factory=dict)


_KINDS: Mapping[str, type[_Strict]] = {"SLO": _Slo, "SLI": _SliDocument, "Service": _ServiceDocument}
# Keys that OpenSLO knows and this product refuses, and why.
_REASONS = {
    "thresholdMetric": "a threshold on a value counts no events: use a ratioMetric of counters",
    "raw": "a ratio that was computed elsewhere cannot be added up: give good or bad, and total",
    "rawType": "a ratio that was computed elsewhere cannot be added up: give good or bad, and total",
    "alertPolicies": "alerts are generated from the objective: leave this out",
    "op": "only a thresholdMetric has it: leave it out",
    "value": "only a thresholdMetric has it: leave it out",
    "timeSliceTarget": "time slices are not counted, events are: use budgetingMethod Occurrences",
    "timeSliceWindow": "time slices are not counted, events are: use budgetingMethod Occurrences",
    "compositeWeight": "a composite of objectives is not computed: state each one by itself",
}


def load(files: Iterable[Path]) -> list[Objective]:
    """Load all objectives of the files, in order of service and name.

    Raises ConfigurationError, with file and line, at the first fault.
    """
    documents = [(source, _document(source)) for file in files for source in lined_yaml.load(file)]
    indicators = {
        model.metadata.name: (source, model.spec)
        for source, model in documents
        if isinstance(model, _SliDocument)
    }
    objectives: dict[tuple[str, str], Objective] = {}
    for source, model in documents:
        if isinstance(model, _Slo):
            objective = _objective(source, model, indicators)
            if (objective.service, objective.name) in objectives:
                raise ConfigurationError(
                    f"{source.at(('metadata', 'name'))}: {objective.service} has another objective "
                    f"{objective.name}: choose another name"
                )
            if any(other.id == objective.id for other in objectives.values()):
                raise ConfigurationError(
                    f"{source.at(('metadata', 'name'))}: its rules would be called {objective.id}, like "
                    "another objective's: choose another name"
                )
            objectives[objective.service, objective.name] = objective
    return [objectives[key] for key in sorted(objectives)]


def load_files(directory: Path) -> list[Objective]:
    """Load the objectives of every ``*.yaml`` and ``*.yml`` in it; none where there is no file.

    Raises ConfigurationError at the first fault.
    """
    return load(sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]))


def load_directory(directory: Path) -> list[Objective]:
    """Load as ``load_files`` does, and raise ConfigurationError also when there is no objective."""
    objectives = load_files(directory)
    if not objectives:
        raise ConfigurationError(
            f"{directory}: holds no objective; write an OpenSLO document, kind SLO, there"
        )
    return objectives


def _document(source: Document) -> _Strict:
    if not isinstance(source.value, dict):
        raise ConfigurationError(f"{source.at(())}: is not an OpenSLO document (apiVersion: {API_VERSION})")
    kind = source.value.get("kind")
    if source.value.get("apiVersion") != API_VERSION:
        hint = "; import a Sloth file with 'ops-platform slo import'" if "slos" in source.value else ""
        raise ConfigurationError(f"{source.at(('apiVersion',))}: apiVersion must be {API_VERSION}{hint}")
    model = _KINDS.get(str(kind))
    if model is None:
        raise ConfigurationError(
            f"{source.at(('kind',))}: kind {kind} is not supported; use one of {', '.join(_KINDS)}"
        )
    try:
        return model.model_validate(source.value)
    except ValidationError as error:
        errors = error.errors()
        # A key that we refuse explains more than the missing one that it stands in for.
        first = next(
            (details for details in errors if details["loc"] and str(details["loc"][-1]) in _REASONS),
            errors[0],
        )
        path = first["loc"]
        name = ".".join(str(part) for part in path)
        reason = _REASONS.get(str(path[-1])) if path else None
        raise ConfigurationError(
            f"{source.at(path)}: {name}: {reason or lined_yaml.complaint(first)}"
        ) from None


def _objective(
    source: Document, model: _Slo, indicators: Mapping[str, tuple[Document, _SliSpec]]
) -> Objective:
    spec, meta = model.spec, model.metadata
    where, path, ratio = _ratio(source, spec, indicators)
    return Objective(
        service=spec.service,
        name=meta.name,
        title=meta.displayName or meta.name,
        description=" ".join(spec.description.split()),
        target=_target(source, model),
        indicator=_indicator(where, path, ratio),
        period=_period(source, spec.timeWindow[0]),
        runbook_url=meta.annotations.get(RUNBOOK),
        burn_window_scale=_burn_window_scale(source, meta),
    )


def _burn_window_scale(source: Document, meta: _Metadata) -> Fraction:
    given = meta.annotations.get(BURN_WINDOWS, "1")
    scale = Fraction(given) if re.fullmatch(r"\d{1,3}(\.\d{1,3})?", given) else Fraction(0)
    if not SHORTEST_SCALE <= scale <= LONGEST_SCALE:
        raise ConfigurationError(
            f"{source.at(('metadata', 'annotations', BURN_WINDOWS))}: {BURN_WINDOWS} is a number from "
            f"{float(SHORTEST_SCALE)} to {float(LONGEST_SCALE):g}, not {given!r}"
        )
    return scale


def _ratio(
    source: Document, spec: _SloSpec, indicators: Mapping[str, tuple[Document, _SliSpec]]
) -> tuple[Document, Sequence[str | int], _Ratio]:
    if (spec.indicator is None) == (spec.indicatorRef is None):
        raise ConfigurationError(f"{source.at(('spec',))}: give exactly one of indicator and indicatorRef")
    if spec.indicator is not None:
        return source, ("spec", "indicator", "spec", "ratioMetric"), spec.indicator.spec.ratioMetric
    indicator = indicators.get(str(spec.indicatorRef))
    if indicator is None:
        raise ConfigurationError(
            f"{source.at(('spec', 'indicatorRef'))}: there is no SLI {spec.indicatorRef} in these files"
        )
    return indicator[0], ("spec", "ratioMetric"), indicator[1].ratioMetric


def _indicator(source: Document, path: Sequence[str | int], ratio: _Ratio) -> Indicator:
    if (ratio.good is None) == (ratio.bad is None):
        raise ConfigurationError(f"{source.at(path)}: give exactly one of good and bad, and total")

    def selector(name: str, metric: _Metric) -> Selector:
        inside = (*path, name, "metricSource", "spec", "query")
        spec = metric.metricSource.spec
        if set(spec) != {"query"}:
            raise ConfigurationError(
                f"{source.at(inside[:-1])}: {name}: spec must be a query, and nothing else"
            )
        try:
            return Selector.parse(spec["query"])
        except ValueError as error:
            raise ConfigurationError(f"{source.at(inside)}: {name}: {spec['query']} {error}") from None

    return Indicator(
        total=selector("total", ratio.total),
        good=None if ratio.good is None else selector("good", ratio.good),
        bad=None if ratio.bad is None else selector("bad", ratio.bad),
    )


def _target(source: Document, model: _Slo) -> Fraction:
    given, path = model.spec.objectives[0], ("spec", "objectives", 0)
    annotated = model.metadata.annotations.get(TARGET)
    if annotated is not None:
        if annotated not in ("1", "1.0"):
            raise ConfigurationError(
                f'{source.at(("metadata", "annotations", TARGET))}: {TARGET} can only be "1"; other targets '
                "stand in objectives"
            )
        return Fraction(1)
    if (given.target is None) == (given.targetPercent is None):
        raise ConfigurationError(f"{source.at(path)}: give exactly one of target and targetPercent")
    if given.target is not None:
        return Fraction(given.target)
    return Fraction(given.targetPercent or 0) / 100


def _period(source: Document, window: _Window) -> Period:
    path = ("spec", "timeWindow", 0)
    duration = _DURATION.fullmatch(window.duration)
    if duration is None:
        raise ConfigurationError(
            f"{source.at((*path, 'duration'))}: {window.duration} is not a duration: write 30d"
        )
    count, unit = int(duration["count"]), duration["unit"]
    if window.isRolling:
        days = {"d": count, "w": 7 * count}.get(unit)
        if window.calendar is not None or days is None or days > MAX_DAYS:
            raise ConfigurationError(
                f"{source.at(path)}: a rolling window has whole days or weeks, at most {MAX_DAYS} days, "
                "and no calendar"
            )
        return Period("rolling", days)
    if window.calendar is None or (count, unit) != (1, "M"):
        raise ConfigurationError(
            f"{source.at(path)}: a calendar window is one month (1M) with a calendar in UTC"
        )
    if re.fullmatch(r"\d{4}-\d\d-01[ T]00:00:00Z?", window.calendar.startTime) is None:
        raise ConfigurationError(
            f"{source.at((*path, 'calendar', 'startTime'))}: must be the start of a month, as in "
            "2026-01-01 00:00:00"
        )
    return MONTH
