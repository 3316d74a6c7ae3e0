"""Grafana's dashboards without Grafana: current, typed, explained, and naming only what is exported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from ops_platform import files
from ops_platform.agent.metrics import METRICS
from ops_platform.grafana.rendering import render
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform_tests.dashboards.grafana import (
    DASHBOARDS,
    GRAFANA,
    OF_GRAFANA,
    Ask,
    choices,
    document,
    every_ask,
    filled,
    metrics,
    panels,
    variables,
)
from ops_platform_tests.dashboards.test_prometheus_rules import DOCS

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
by_dashboard = pytest.mark.parametrize("name", sorted(DASHBOARDS))
by_ask = pytest.mark.parametrize("ask", every_ask(), ids=lambda ask: f"{ask.dashboard}: {ask.where}")


def recorded() -> set[str]:
    """The names of the recording rules of the default objectives."""
    objectives = openslo.load_directory(files.default_config_dir() / "objectives")
    return {
        rule["record"]
        for group in rules.render(objectives)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


def anything(ask: Ask) -> str:
    """The expression with every variable set to all of its values."""
    return filled(ask.expr, {**OF_GRAFANA, **{one.variable: ".*" for one in choices(ask.dashboard)}})


def test_what_is_checked_in_is_what_the_code_makes() -> None:
    assert set(render()) == {path.name for path in (GRAFANA / "dashboards").iterdir()}
    for name, text in render().items():
        current = (GRAFANA / "dashboards" / name).read_bytes() == text.encode()
        assert current, f"{name} is not current: make dashboards"


@pytest.mark.processes
def test_the_command_writes_them_where_it_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops_platform.grafana"]
    done = subprocess.run([*command, str(tmp_path / "new")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()} == render()
    wrong = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr[:6]) == (2, "usage:")


@by_dashboard
def test_the_sdk_reads_it_and_writes_the_same(name: str) -> None:
    register_default_plugins()
    text = DASHBOARDS[name].read_text(encoding="utf-8")
    read = Dashboard.from_json(json.loads(text))
    assert json.dumps(read, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n" == text


@by_dashboard
def test_it_can_be_provisioned_anywhere(name: str) -> None:
    board = document(name)
    assert "__inputs" not in board
    assert "id" not in board
    assert re.fullmatch(r"ops-[a-z]+", board["uid"])
    assert board["editable"] is False
    assert board["schemaVersion"] >= 39
    assert (board["refresh"], board["time"]["to"], board["timezone"]) == ("1m", "now", "utc")
    kinds = {variable["name"]: variable["type"] for variable in variables(name)}
    assert kinds.pop("datasource") == "datasource"
    assert kinds.pop("docs") == "textbox"
    assert set(kinds.values()) == {"query"}


def test_uids_differ() -> None:
    assert len({document(name)["uid"] for name in DASHBOARDS}) == len(DASHBOARDS)


@by_dashboard
def test_variables_take_any_of_their_values(name: str) -> None:
    for variable in variables(name):
        if variable["type"] == "query":
            assert variable["multi"]
            assert variable["includeAll"]
            assert variable["datasource"] == PROMETHEUS


@by_dashboard
def test_every_panel_is_explained(name: str) -> None:
    for panel in panels(name):
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == PROMETHEUS, panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["datasource"] == PROMETHEUS for target in panel["targets"]), panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]


@by_dashboard
def test_panels_have_their_own_place_and_number(name: str) -> None:
    every = document(name)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert not overlap(one, other), (one, other)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_overlaps_are_seen() -> None:
    place = {"x": 0, "y": 0, "w": 12, "h": 8}
    assert overlap(place, {**place, "x": 11, "y": 7})
    assert not overlap(place, {**place, "x": 12})
    assert not overlap(place, {**place, "y": 8})


@by_ask
def test_every_expression_parses_and_claims_nothing(ask: Ask) -> None:
    promql_parser.parse(anything(ask))
    assert "vector(0)" not in ask.expr
    # A rate over a fixed time is wrong for some range; and every answer follows the reader's choice.
    assert not re.search(r"\[\d", ask.expr)
    for counter in re.findall(r"\brate\(([^()]*)\)", ask.expr):
        assert counter.endswith("[$__rate_interval]")
    for one in choices(ask.dashboard):
        assert f'=~"${one.variable}"' in ask.expr, f"does not follow {one.variable}"


def test_every_metric_is_exported() -> None:
    named = {metric for ask in every_ask() for metric in metrics(anything(ask))}
    named |= {
        metric
        for name in DASHBOARDS
        for one in choices(name)
        for metric in metrics(filled(one.selector, {other.variable: ".*" for other in choices(name)}))
    }
    unknown = named - set(METRICS) - recorded()
    assert unknown == set()


def test_names_are_found_in_expressions() -> None:
    expr = 'time() - max by (a) (label_replace(one{b="two"}, "c", "$1", "d", "e")) / (rate(x_total[1m]) > 0)'
    assert metrics(expr) == {"one", "x_total"}


@by_dashboard
def test_legends_name_labels_that_the_answer_has(name: str) -> None:
    """Every expression is by labels, and a legend that names another would show it as it is written."""
    for panel in panels(name):
        for target in panel["targets"]:
            kept = set(re.findall(r"\w+", re.findall(r" by \(([^)]*)\)", target["expr"])[0]))
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert named <= kept, (panel["title"], target["refId"])


def links(name: str) -> list[str]:
    board = document(name)
    every = [*board["links"], *(link for panel in panels(name) for link in panel.get("links", ()))]
    return [link["url"] for link in every if link["type"] == "link"]


@by_dashboard
def test_links_lead_somewhere(name: str) -> None:
    assert [link["tags"] for link in document(name)["links"] if link["type"] == "dashboards"] == [
        ["ops-platform"]
    ]
    assert "ops-platform" in document(name)["tags"]
    for url in links(name):
        page, _, anchor = url.removeprefix("${docs:raw}/").partition("#")
        text = (DOCS / "docs" / page).read_text(encoding="utf-8")
        headings = [heading.lower() for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)]
        assert not anchor or anchor in headings, url


def test_runbooks_are_linked() -> None:
    for name in ("slo", "backup-and-dr"):
        assert any("/runbooks/" in url and "#" in url for url in links(name)), name


def provisioned(kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (path.read_text(encoding="utf-8"), yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted((GRAFANA / "provisioning" / kind).glob("*.yaml"))
    ]


def test_provisioning_names_no_place_of_its_own() -> None:
    [(text, source)] = provisioned("datasources")
    [prometheus] = source["datasources"]
    assert prometheus["url"] == "$OPS_PROMETHEUS_URL"
    assert prometheus["type"] == "prometheus"
    scrape = yaml.safe_load((GRAFANA.parent / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert prometheus["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    [(other, boards)] = provisioned("dashboards")
    [provider] = boards["providers"]
    assert provider["options"]["path"] == "$OPS_GRAFANA_DASHBOARDS_DIR"
    assert not provider["allowUiUpdates"]
    assert "://" not in text + other


def test_the_documentation_names_what_there_is() -> None:
    text = (DOCS / "docs" / "dashboards.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(`(ops-[a-z]+)`\)", text)) == {document(name)["uid"] for name in DASHBOARDS}
    files_ = (path.read_text(encoding="utf-8") for path in (GRAFANA / "provisioning").rglob("*.yaml"))
    wanted = {name for file in files_ for name in re.findall(r": \$([A-Z_]+)$", file, flags=re.MULTILINE)}
    assert set(re.findall(r"^\| `(\w+)`", text, flags=re.MULTILINE)) == wanted
