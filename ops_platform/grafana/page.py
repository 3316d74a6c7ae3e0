"""A dashboard's frame: variables, links, and panels laid out in rows under headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from ops_platform.grafana.panels import link
from ops_platform.grafana.style import PROMETHEUS

GRID = 24
"""Columns of Grafana's grid."""
TAG = "ops-platform"
DOCS_URL = "/docs"
"""The address at which docs/ is served, unless the reader sets another."""


@dataclass(frozen=True)
class Page:
    """A dashboard to be built."""

    uid: str
    title: str
    text: str
    since: str
    choices: Mapping[str, str]
    """Variable -> Prometheus query of its values."""
    rows: Mapping[str, Sequence[Panel]]
    """Heading -> panels."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """Title -> page below docs/."""
    annotations: Sequence[build.AnnotationQuery] = ()

    def dashboard(self) -> Dashboard:
        """Build the dashboard, with its panels laid out."""
        builder = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.text)
            .tags([TAG])
            .readonly()
            .refresh("1m")
            .time(self.since, "now")
            .timezone("utc")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .link(
                build.DashboardLink("ops_platform")
                .type(DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(False)
                .keep_time(True)
            )
            .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        )
        for title, page in self.pages.items():
            builder.link(link(title, page))
        for name, query in self.choices.items():
            builder.with_variable(_choice(name, query))
        builder.with_variable(_docs())
        for annotation in self.annotations:
            builder.annotation(annotation)
        dashboard = builder.build()
        dashboard.panels = _laid_out(self.rows)
        return dashboard


def _choice(name: str, query: str) -> build.QueryVariable:
    """Build a variable to choose any of the values; by default all, also those that come later."""
    return (
        build.QueryVariable(name)
        .label(name)
        .datasource(PROMETHEUS)
        .query(query)
        .definition(query)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _docs() -> build.TextBoxVariable:
    return (
        build.TextBoxVariable("docs")
        .label("Documentation")
        .description("Address at which docs/ is served: runbook links begin with it.")
        .default_value(DOCS_URL)
        .current(VariableOption(selected=True, text=DOCS_URL, value=DOCS_URL))
    )


def _laid_out(rows: Mapping[str, Sequence[Panel]]) -> list[Panel | RowPanel]:
    """Place panels left to right, a heading above each row, numbered in the order of reading."""
    placed: list[Panel | RowPanel] = []
    top = 0
    for heading, panels in rows.items():
        placed.append(
            RowPanel(
                id_val=len(placed) + 1, title=heading, grid_pos=GridPos(h=1, w=GRID, x=0, y=top), panels=[]
            )
        )
        top, left, tallest = top + 1, 0, 0
        for panel in panels:
            assert panel.grid_pos is not None  # noqa: S101 - every panel has a width and a height
            if left + panel.grid_pos.w > GRID:
                top, left, tallest = top + tallest, 0, 0
            panel.grid_pos.x, panel.grid_pos.y = left, top
            panel.id_val = len(placed) + 1
            placed.append(panel)
            left, tallest = left + panel.grid_pos.w, max(tallest, panel.grid_pos.h)
        top += tallest
    return placed
