"""The objectives of an SLO document. One that has several gives each a name of its own.

Annotations that we read: OpenSLO's targets end below 1, so an objective of 100 % says
``ops-platform/target: "1"``; ``ops-platform/burn-window-scale`` makes the windows of its burn alerts shorter
or longer, ``ops-platform/runbook-url`` names a runbook of its own, and ``ops-platform/grouping`` makes an
objective for each value of a label. Those of its alerts are in
``alert_options``.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives import alert_options
from ops_platform.slo.objectives.alert_options import AlertOptionError, AlertOptions
from ops_platform.slo.objectives.documents import (
    document_keys,
    grouping,
    written_alert,
    written_indicator,
    written_period,
)
from ops_platform.slo.objectives.documents.document_schema import Metadata, Slo, Target
from ops_platform.slo.objectives.documents.written_object import Objects, Written
from ops_platform.slo.objectives.model import Objective

OURS = "ops-platform/"
TARGET = f"{OURS}target"
RUNBOOK = f"{OURS}runbook-url"
BURN_WINDOWS = f"{OURS}burn-window-scale"
ANNOTATIONS = (TARGET, RUNBOOK, BURN_WINDOWS, grouping.ANNOTATION)
SHORTEST_SCALE, LONGEST_SCALE = Fraction(1, 5), Fraction(4)
"""The shortest burn window is then one minute, four scrapes; the longest twelve days."""


def objectives(slo: Written[Slo], objects: Objects, notes: list[str]) -> list[Objective]:
    """Read the objectives of a document, and append what its author should know to ``notes``.

    Raises ConfigurationError, with file and line.
    """
    spec, meta = slo.value.spec, slo.value.metadata
    own = _own_annotations(slo)
    period = written_period.period(slo, notes)
    policies = written_alert.policies(slo, objects, notes)
    names = _names(slo)
    several = len(spec.objectives) > 1
    made: list[Objective] = []
    for number, name in enumerate(names):
        target = slo.part(spec.objectives[number], "spec", "objectives", number)
        title = meta.displayName or meta.name
        if several:
            title = f"{title}: {target.value.displayName or name}"
        objective = Objective(
            service=spec.service,
            name=name,
            title=title,
            description=" ".join(spec.description.split()),
            target=_share(slo, target),
            indicator=written_indicator.indicator(slo, target, objects, notes),
            period=period,
            runbook_url=own.get(RUNBOOK),
            burn_window_scale=_burn_window_scale(slo, own),
            alerts=_alerts(slo, own),
            labels=_labels(meta),
            annotations=tuple(
                sorted(pair for pair in meta.annotations.items() if not pair[0].startswith(OURS))
            ),
            alert_policies=policies,
        )
        made += grouping.grouped(slo, objective)
    return made


def _own_annotations(slo: Written[Slo]) -> dict[str, str]:
    own = {name: text for name, text in slo.value.metadata.annotations.items() if name.startswith(OURS)}
    for name in own:
        if name not in ANNOTATIONS and not name.startswith(alert_options.PREFIX):
            raise ConfigurationError(
                f"{slo.at('metadata', 'annotations', name)}: {name} "
                f"{document_keys.nearest_key(ANNOTATIONS, name)}"
            )
    return own


def _alerts(slo: Written[Slo], own: dict[str, str]) -> AlertOptions:
    try:
        return alert_options.parse(own)
    except AlertOptionError as error:
        raise ConfigurationError(f"{slo.at('metadata', 'annotations', error.key)}: {error}") from None


def _names(slo: Written[Slo]) -> list[str]:
    """Name each objective: as the document, and of several with what is shown of each, or its number."""
    name, targets = slo.value.metadata.name, slo.value.spec.objectives
    if len(targets) == 1:
        return [name]
    endings = [
        re.sub(r"[^a-z0-9]+", "-", (target.displayName or "").lower()).strip("-") or str(number)
        for number, target in enumerate(targets, start=1)
    ]
    names = [f"{name}-{ending}" for ending in endings]
    for number, made in enumerate(names):
        where = slo.at("spec", "objectives", number)
        if made in names[:number]:
            raise ConfigurationError(
                f"{where}: would be called {made}, as another one: choose another displayName"
            )
        if len(made) > 63:
            raise ConfigurationError(
                f"{where}: would be called {made}, longer than 63: choose a shorter displayName"
            )
    return names


def _labels(meta: Metadata) -> tuple[tuple[str, str], ...]:
    """Write labels as Prometheus takes them: without hyphens, dots or slashes in names, and lists."""
    return tuple(
        sorted(
            (
                re.sub(r"[^A-Za-z0-9_]", "_", name),
                ",".join(map(str, value)) if isinstance(value, list) else str(value),
            )
            for name, value in meta.labels.items()
        )
    )


def _burn_window_scale(slo: Written[Slo], own: dict[str, str]) -> Fraction:
    given = own.get(BURN_WINDOWS, "1")
    scale = Fraction(given) if re.fullmatch(r"\d{1,3}(\.\d{1,3})?", given) else Fraction(0)
    if not SHORTEST_SCALE <= scale <= LONGEST_SCALE:
        raise ConfigurationError(
            f"{slo.at('metadata', 'annotations', BURN_WINDOWS)}: {BURN_WINDOWS} is a number from "
            f"{float(SHORTEST_SCALE)} to {float(LONGEST_SCALE):g}, not {given!r}"
        )
    return scale


def _share(slo: Written[Slo], target: Written[Target]) -> Fraction:
    annotated = slo.value.metadata.annotations.get(TARGET)
    if annotated is not None:
        where = slo.at("metadata", "annotations", TARGET)
        if annotated not in ("1", "1.0"):
            raise ConfigurationError(f'{where}: {TARGET} can only be "1"; other targets stand in objectives')
        if len(slo.value.spec.objectives) > 1:
            raise ConfigurationError(f"{where}: {TARGET} says which of several? State that one alone")
        return Fraction(1)
    given = target.value
    if (given.target is None) == (given.targetPercent is None):
        raise ConfigurationError(f"{target.at()}: give exactly one of target and targetPercent")
    if given.target is not None:
        return Fraction(given.target)
    return Fraction(given.targetPercent or 0) / 100
