"""One objective for each value of a label, by the annotation ``ops-platform/grouping``."""

from __future__ import annotations

import re
from dataclasses import replace

from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives.documents.document_schema import Slo
from ops_platform.slo.objectives.documents.written_object import Written
from ops_platform.slo.objectives.model import AnyIndicator, Indicator, Objective
from ops_platform.slo.objectives.selector import Matcher, Selector

ANNOTATION = "ops-platform/grouping"


def grouped(slo: Written[Slo], objective: Objective) -> list[Objective]:
    """Make an objective of each value that the document names, ``LABEL: value, value``; else leave it.

    Raises ConfigurationError, with file and line.
    """
    text = slo.value.metadata.annotations.get(ANNOTATION)
    if text is None:
        return [objective]
    where = slo.at("metadata", "annotations", ANNOTATION)
    label, _, rest = text.partition(":")
    values = [value.strip() for value in rest.split(",") if value.strip()]
    if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label.strip()) is None or not values:
        raise ConfigurationError(
            f"{where}: {ANNOTATION} is a label and its values, as in handler: /query, /query_range"
        )
    made: dict[str, Objective] = {}
    for value in values:
        ending = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
        name = f"{objective.name}-{ending}"
        if not ending or name in made or len(name) > 63:
            raise ConfigurationError(
                f"{where}: {value} makes an objective called {name}, as another value does, or no name: "
                "state that one by itself"
            )
        matcher = Matcher(label.strip(), "=", value)
        made[name] = replace(
            objective,
            name=name,
            title=f"{objective.title}: {value}",
            indicator=_narrowed(objective.indicator, matcher),
        )
    return list(made.values())


def _narrowed(indicator: AnyIndicator, matcher: Matcher) -> AnyIndicator:
    def with_matcher(selector: Selector) -> Selector:
        return replace(selector, matchers=tuple(sorted((*selector.matchers, matcher), key=str)))

    if not isinstance(indicator, Indicator):
        gauge = replace(indicator.gauge, selector=with_matcher(indicator.gauge.selector))
        return replace(indicator, gauge=gauge)
    return replace(
        indicator,
        total=with_matcher(indicator.total),
        good=None if indicator.good is None else with_matcher(indicator.good),
        bad=None if indicator.bad is None else with_matcher(indicator.bad),
    )
