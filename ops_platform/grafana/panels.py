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

from ops_platform.grafana.style import PROMETHEUS, RED, Query, Steps, ref, thresholds

DOCS = "${docs:raw}"
"""The variable that holds where docs/ is served."""
PROMISE = "(target|limit)$"
"""Series whose names end so are promises: drawn as dashed red lines."""

Builder = TypeVar("Builder", stat.Panel, table.Panel, timeseries.Panel, statetimeline.Panel)


@dataclass(frozen=True)
class About:
    """What is said of a panel. ``runbooks``: page#anchor below docs/runbooks."""

    title: str
    text: str
    unit: str
    runbooks: tuple[str, ...] = ()
    width: int = 12
    height: int = 8


def link(title: str, page: str) -> DashboardLink:
    """To a page of the documentation."""
    return DashboardLink(title).type(DashboardLinkType.LINK).url(f"{DOCS}/{page}").target_blank(True)


def value(
    about: About, *queries: Query, mapped: list[ValueMapping] | None = None, steps: Steps = ()
) -> Panel:
    """What holds now, in large; of what is not known it says so."""
    panel = (
        _described(stat.Panel(), about)
        .no_value("unknown")
        .thresholds(thresholds(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_mode(BigValueColorMode.BACKGROUND if mapped or steps else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
    )
    if mapped:
        panel.mappings(mapped)
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).instant())
    return panel.build()


def graph(
    about: About, *queries: Query, lines: Steps = (), bars: bool = False, lowest: float | None = 0
) -> Panel:
    """Over time. ``lines``: thresholds that are drawn; ``bars`` stack what happened in each interval."""
    panel = (
        _described(timeseries.Panel(), about)
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
        # An hour at least: rarer things than that would be hairlines.
        panel.interval("1h").draw_style(GraphDrawStyle.BARS).fill_opacity(80).stacking(
            common.StackingConfig().mode(StackingMode.NORMAL).group("A")
        )
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).range())
    return panel.build()


def states(about: About, query: Query, mapped: list[ValueMapping]) -> Panel:
    """One line each, coloured by the state it was in."""
    return (
        _described(statetimeline.Panel(), about)
        .mappings(mapped)
        .show_value(VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .fill_opacity(80)
        .with_target(_target(query, 0).range())
        .build()
    )


@dataclass(frozen=True)
class Column:
    """One value of every row; the rows are the label sets of ``expr``."""

    name: str
    expr: str
    unit: str
    decimals: int | None = None
    mapped: Sequence[ValueMapping] = ()
    steps: Steps = ()
    start: str = "transparent"


def rows(about: About, keys: Mapping[str, str], *columns: Column) -> Panel:
    """A table of what holds now. ``keys``: label -> heading, in this order before the columns."""
    panel = _described(table.Panel(), about).no_value("–")
    for index, column in enumerate(columns):
        query = Query(column.expr, column.name)
        panel.with_target(_target(query, index).format(PromQueryFormat.TABLE).instant())
        panel.override_by_name(column.name, _looks(column))
    # A single query's values would be called "Value", without its letter.
    values = {f"Value #{ref(index)}": column.name for index, column in enumerate(columns)}
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


def _looks(column: Column) -> list[DynamicConfigValue]:
    found = [DynamicConfigValue("unit", column.unit)]
    if column.decimals is not None:
        found.append(DynamicConfigValue("decimals", column.decimals))
    if column.mapped:
        found.append(DynamicConfigValue("mappings", list(column.mapped)))
    if column.steps:
        found.append(DynamicConfigValue("thresholds", thresholds(column.steps, column.start).build()))
    if column.mapped or column.steps:
        found.append(DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
    return found


def _described(panel: Builder, about: About) -> Builder:
    panel.title(about.title).description(about.text).unit(about.unit)
    panel.datasource(PROMETHEUS).span(about.width).height(about.height)
    if about.runbooks:
        panel.links(
            [link(f"Runbook: {page.partition('#')[2]}", f"runbooks/{page}") for page in about.runbooks]
        )
    return panel


def _target(query: Query, index: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(PROMETHEUS)
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(ref(index))
    )
