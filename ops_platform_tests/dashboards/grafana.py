"""The checked in dashboards as the tests read them: panels, queries, variables, what Grafana fills in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser

from ops_platform import files

GRAFANA = files.carried("dashboards") / "grafana"
DASHBOARDS = {path.stem: path for path in sorted((GRAFANA / "dashboards").glob("*.json"))}

OF_GRAFANA = {"__interval": "1m", "__rate_interval": "1m", "__range": "1h"}
"""Variables that every dashboard has."""


@dataclass(frozen=True)
class Ask:
    """One PromQL expression: of a panel ("title/A") or of an annotation ("annotation: name")."""

    dashboard: str
    where: str
    expr: str

    @property
    def key(self) -> tuple[str, str]:
        return self.dashboard, self.where


@dataclass(frozen=True)
class Choice:
    """A variable's ``label_values(selector, label)``."""

    dashboard: str
    variable: str
    selector: str
    label: str


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARDS[name].read_text(encoding="utf-8"))
    return found


def panels(name: str) -> list[dict[str, Any]]:
    """Without the headings."""
    return [panel for panel in document(name)["panels"] if panel["type"] != "row"]


def variables(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(name)["templating"]["list"]
    return found


def asks(name: str) -> Iterator[Ask]:
    for panel in panels(name):
        for target in panel["targets"]:
            yield Ask(name, f"{panel['title']}/{target['refId']}", target["expr"])
    for annotation in document(name)["annotations"].get("list", ()):
        assert annotation["expr"] == annotation["target"]["expr"]
        yield Ask(name, f"annotation: {annotation['name']}", annotation["expr"])


def choices(name: str) -> Iterator[Choice]:
    for variable in variables(name):
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert asked is not None, variable["query"]
            yield Choice(name, variable["name"], *asked.groups())


def every_ask() -> list[Ask]:
    return [ask for name in DASHBOARDS for ask in asks(name)]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """With Grafana's variables replaced; ``$1`` is label_replace's. KeyError: nobody fills it."""
    return re.sub(r"\$([A-Za-z_]\w*)", lambda match: values[match.group(1)], expr)


def metrics(expr: str) -> set[str]:
    """The metric names of an expression without Grafana's variables."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name, f"a selector without a name in {expr}"
            found.add(node.name)
        for inside in ("expr", "lhs", "rhs", "vector_selector"):
            if (child := getattr(node, inside, None)) is not None:
                walk(child)
        for child in getattr(node, "args", ()):
            walk(child)

    walk(promql_parser.parse(expr))
    return found
