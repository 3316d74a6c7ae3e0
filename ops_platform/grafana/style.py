"""Colours, thresholds and names of values, and queries in the form that panels take."""

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
"""The one chosen in the dashboard's own variable; never a fixed installation's."""

GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "#808080"

Steps = Sequence[tuple[float, str]]
"""(from this value on, colour); below the first, the colour is ``start``."""


@dataclass(frozen=True)
class Query:
    """A query; Grafana makes its series' names from ``legend``, with labels as ``{{label}}``."""

    expr: str
    legend: str


def thresholds(steps: Steps, start: str = GREEN) -> build.ThresholdsConfig:
    """Build absolute thresholds."""
    return (
        build.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps(
            [Threshold(value=None, color=start), *(Threshold(value=at, color=color) for at, color in steps)]
        )
    )


def value_mappings(texts: Mapping[int, tuple[str, str]]) -> list[ValueMapping]:
    """Build a mapping of each value to (text, colour)."""
    return [
        ValueMap(
            options={
                str(value): ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(texts.items())
            }
        )
    ]


def query_letter(index: int) -> str:
    """Name the letter by which Grafana refers to a panel's query."""
    return chr(ord("A") + index)
