"""What numbers look like: thresholds, names for values, and queries as panels take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whatever the reader chose in the dashboard's own variable; never a fixed installation's."""

GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "#808080"

Steps = Sequence[tuple[float, str]]
"""(from this value on, colour); below the first is ``start``."""


@dataclass(frozen=True)
class Query:
    """``legend`` is what Grafana makes a series' name from: labels as ``{{label}}``."""

    expr: str
    legend: str


def thresholds(steps: Steps, start: str = GREEN) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps(
            [Threshold(value=None, color=start), *(Threshold(value=at, color=color) for at, color in steps)]
        )
    )


def names(texts: Mapping[int, tuple[str, str]]) -> list[ValueMapping]:
    """Of each value (text, colour)."""
    return [
        ValueMap(
            options={
                str(value): ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(texts.items())
            }
        )
    ]


def ref(index: int) -> str:
    """The letter that Grafana calls a panel's query."""
    return chr(ord("A") + index)
