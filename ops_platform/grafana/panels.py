"""The kinds of panels that the dashboards are made of, each with a unit and an explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    Panel,
    ValueMapping,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from ops_platform.grafana.style import PROMETHEUS, RED, Query, Steps, query_letter, thresholds

DOCS = "${docs:raw}"
"""The variable that holds the address of docs/."""
PROMISE = "(target|limit)$"
"""Series whose names end so are promises, drawn as dashed red lines."""

Builder = TypeVar("Builder", stat.Panel, table.Panel, timeseries.Panel, statetimeline.Panel)


@dataclass(frozen=True)
class PanelSpec:
    """Texts, unit and size of a panel; ``runbooks`` are page#anchor below docs/runbooks."""

    title: str
    text: str
    unit: str
    runbooks: tuple[str, ...] = ()
    width: int = 12
    height: int = 8


def link(title: str, page: str) -> DashboardLink:
    """Link to a page below docs/, in a new tab."""
    return DashboardLink(title).type(DashboardLinkType.LINK).url(f"{DOCS}/{page}").target_blank(True)


def current_value(
    spec: PanelSpec, *queries: Query, mappings: list[ValueMapping] | None = None, steps: Steps = ()
) -> Panel:
    """Build a panel of the current values in large digits; a missing one reads "unknown"."""
    panel = (
        _described(stat.Panel(), spec)
        .no_value("unknown")
        .thresholds(thresholds(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_mode(BigValueColorMode.BACKGROUND if mappings or steps else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
    )
    if mappings:
        panel.mappings(mappings)
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).instant())
    return panel.build()


def graph(
    spec: PanelSpec, *queries: Query, lines: Steps = (), bars: bool = False, lowest: float | None = 0
) -> Panel:
    """Build a graph over time. ``lines``: thresholds to draw; ``bars`` stack the counts of each interval."""
    panel = (
        _described(timeseries.Panel(), spec)
        .line_width(1)
        .fill_opacity(5)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .override_by_regexp(
            f"/{PROMISE}/",
            [
                DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
                DynamicConfigValue("custom.fillOpacity", 0),
                DynamicConfigValue("color", {"mode": "fixed", "fixedColor": RED}),
            ],
        )
    )
    if lowest is not None:
        panel.axis_soft_min(lowest)
    if lines:
        panel.thresholds(thresholds(lines, start="transparent")).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    if bars:
        # At least an hour: bars of rare events would be hairlines otherwise.
        panel.interval("1h").draw_style(GraphDrawStyle.BARS).fill_opacity(80).stacking(
            common.StackingConfig().mode(StackingMode.NORMAL).group("A")
        )
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).range())
    return panel.build()


def state_timeline(spec: PanelSpec, query: Query, mappings: list[ValueMapping]) -> Panel:
    """Build one line for each series, coloured by its state over time."""
    return (
        _described(statetimeline.Panel(), spec)
        .mappings(mappings)
        .show_value(VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .fill_opacity(80)
        .with_target(_target(query, 0).range())
        .build()
    )


@dataclass(frozen=True)
class Column:
    """A column of a table, whose rows are the label sets of ``expr``."""

    name: str
    expr: str
    unit: str
    decimals: int | None = None
    mappings: Sequence[ValueMapping] = ()
    steps: Steps = ()
    start: str = "transparent"


def current_table(spec: PanelSpec, keys: Mapping[str, str], *columns: Column) -> Panel:
    """Build a table of current values. ``keys``: label -> heading, in this order before the columns."""
    panel = _described(table.Panel(), spec).no_value("–")
    for index, column in enumerate(columns):
        query = Query(column.expr, column.name)
        panel.with_target(_target(query, index).format(PromQueryFormat.TABLE).instant())
        panel.override_by_name(column.name, _overrides(column))
    # A single query's values would be called "Value", without its letter.
    values = {f"Value #{query_letter(index)}": column.name for index, column in enumerate(columns)}
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate([*keys, *values])},
                "renameByName": {**keys, **values},
            },
        )
    )
    return panel.build()


def _overrides(column: Column) -> list[DynamicConfigValue]:
    overrides = [DynamicConfigValue("unit", column.unit)]
    if column.decimals is not None:
        overrides.append(DynamicConfigValue("decimals", column.decimals))
    if column.mappings:
        overrides.append(DynamicConfigValue("mappings", list(column.mappings)))
    if column.steps:
        overrides.append(DynamicConfigValue("thresholds", thresholds(column.steps, column.start).build()))
    if column.mappings or column.steps:
        overrides.append(
            DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"})
        )
    return overrides


def _described(panel: Builder, spec: PanelSpec) -> Builder:
    panel.title(spec.title).description(spec.text).unit(spec.unit)
    panel.datasource(PROMETHEUS).span(spec.width).height(spec.height)
    if spec.runbooks:
        panel.links(
            [link(f"Runbook: {page.partition('#')[2]}", f"runbooks/{page}") for page in spec.runbooks]
        )
    return panel


def _target(query: Query, index: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(PROMETHEUS)
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(query_letter(index))
    )
