"""The rule files: syntax, every alert firing and silent, labels, runbooks, nothing unexplained."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform import cli, files
from ops_platform.agent.metrics import METRICS
from ops_platform.api.metrics import ApiMetrics
from ops_platform.guard.metrics import GuardMetrics
from ops_platform_tests.dashboards.rule_case import Case
from ops_platform_tests.dashboards.rule_cases import ALWAYS, CASES

RULES = files.carried("dashboards") / "prometheus" / "rules"
DOCS = Path(__file__).parents[2]
FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FAST_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@functools.cache
def groups_of(name: str) -> list[dict[str, Any]]:
    text = (RULES / name).read_text(encoding="utf-8")
    groups: list[dict[str, Any]] = yaml.load(text, Loader=FAST_LOADER)["groups"]  # noqa: S506 it is a safe one
    return groups


@functools.cache
def rules_of(name: str) -> list[dict[str, Any]]:
    return [rule for group in groups_of(name) for rule in group["rules"]]


def alerts_of(name: str) -> list[dict[str, Any]]:
    return [rule for rule in rules_of(name) if "alert" in rule]


def alerts() -> Iterator[dict[str, Any]]:
    for path in sorted(RULES.glob("*.yml")):
        yield from alerts_of(path.name)


def every_rule() -> list[dict[str, Any]]:
    return [rule for path in sorted(RULES.glob("*.yml")) for rule in rules_of(path.name)]


def recorded() -> set[str]:
    """The names of all recording rules."""
    return {rule["record"] for rule in every_rule() if "record" in rule}


def dumped(document: object) -> str:
    text: str = yaml.dump(document, Dumper=FAST_DUMPER, sort_keys=False)
    return text


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def rendered(template: str, labels: Mapping[str, str], value: str) -> str:
    """The annotation as Prometheus is to render it; KeyError when it names a label the alert has not."""
    template = re.sub(
        r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ \. \}\}(.*?)\{\{ end \}\}",
        lambda match: f"{match[2]}{labels[match[1]]}{match[3]}" if labels.get(match[1]) else "",
        template,
    )
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match.group(1)], template)
    return re.sub(r"\{\{ \$value[^}]*\}\}", value, text)


def expected(case: Case) -> Iterator[dict[str, Any]]:
    for labels in case.fires:
        rule = next(
            rule
            for rule in alerts_of(next(name for name, cases in CASES.items() if case in cases))
            if rule["alert"] == case.alert
            and rule["labels"].items() <= labels.items()
            and case.says in rule["annotations"]["summary"]
        )
        yield {
            "exp_labels": dict(labels),
            "exp_annotations": {
                name: case.annotations.get(name) or rendered(text, labels, case.value)
                for name, text in rule["annotations"].items()
            },
        }


def rules_around(name: str, ending: str, alert: str) -> list[dict[str, Any]]:
    """The groups with this ending, without their other alerts, none of which asks for another's state.

    promtool evaluates all rules at every step of every case.
    """
    groups = [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert", alert) == alert]}
        for group in groups_of(name)
        if group["name"].endswith(ending)
    ]
    return [group for group in groups if group["rules"]]


def promtool_test(name: str, tick: int, ending: str, alert: str, file: Path) -> dict[str, Any]:
    """Make a test of an alert's cases that concern the groups with this ending; ``file`` gets the rules."""
    groups = rules_around(name, ending, alert)
    file.write_text(dumped({"groups": groups}), encoding="utf-8")
    return {
        "rule_files": [str(file)],
        "evaluation_interval": f"{tick}m",
        # Else the order is any, and an alert may look at what was recorded a tick ago.
        "group_eval_order": [group["name"] for group in groups],
        "tests": [
            {
                "name": f"{case.alert}: {case.why}",
                "interval": f"{tick}m",
                "input_series": [{"series": key, "values": values} for key, values in case.series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": f"{case.minute}m",
                        "alertname": case.alert,
                        "exp_alerts": list(expected(case)),
                    }
                ],
            }
            for case in CASES[name]
            if (case.tick, case.groups, case.alert) == (tick, ending, alert)
        ],
    }


@pytest.mark.services
def test_promtool_accepts_every_rule_file() -> None:
    result = promtool("check", "rules", *map(str, sorted(RULES.glob("*.yml"))))
    assert result.returncode == 0, result.stdout + result.stderr
    # Two of one name need a label that tells them apart: of the same labels, one would hide the other.
    assert "lint error" not in result.stdout + result.stderr, result.stdout + result.stderr


@pytest.mark.services
@pytest.mark.parametrize(
    "name",
    # Thirty days of samples a case: promtool takes a minute for them.
    [pytest.param(name, marks=pytest.mark.full if name == "slo.yml" else ()) for name in sorted(CASES)],
)
def test_every_case_holds(name: str, tmp_path: Path) -> None:
    paths = []
    for tick, ending, alert in sorted({(case.tick, case.groups, case.alert) for case in CASES[name]}):
        path = tmp_path / f"{tick}{ending}-{alert}.yml"
        document = promtool_test(name, tick, ending, alert, tmp_path / f"rules-{path.name}")
        path.write_text(dumped(document), encoding="utf-8")
        paths.append(str(path))
    result = promtool("test", "rules", *paths)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_alert_asks_for_the_state_of_another() -> None:
    """Else a case would have to be tried with all of them."""
    assert [rule for rule in every_rule() if "ALERTS" in rule["expr"]] == []


def test_every_alert_has_a_firing_and_a_silent_case() -> None:
    for name, cases in CASES.items():
        wanted = {rule["alert"] for rule in alerts_of(name)}
        assert {case.alert for case in cases if case.fires} == wanted, name
        assert {case.alert for case in cases if not case.fires} >= wanted - ALWAYS, name


def test_every_severity_and_kind_of_a_rule_fires_in_some_case() -> None:
    for name, cases in CASES.items():
        fired = [(case.alert, labels) for case in cases for labels in case.fires]
        for rule in alerts_of(name):
            assert any(
                alert == rule["alert"] and rule["labels"].items() <= labels.items() for alert, labels in fired
            ), f"{rule['alert']} {rule['labels']}"


def test_alerts_carry_what_the_routes_and_people_need() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["labels"]["service"], rule["alert"]
        assert {"summary", "description", "runbook_url"} <= set(rule["annotations"]), rule["alert"]
        assert set(rule["annotations"]) - {"cause"} <= {"summary", "description", "runbook_url"}


def test_every_runbook_exists_and_has_steps() -> None:
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        sections = re.split(r"^## ", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        by_anchor = {section.splitlines()[0].strip().lower(): section for section in sections}
        assert anchor == rule["alert"].lower()
        assert re.search(r"^1\. ", by_anchor[anchor], flags=re.MULTILINE), f"{anchor} has no steps"


def test_runbooks_name_commands_that_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "docs" / "runbooks").glob("*.md"))
    named = set(re.findall(r"`ops-platform ([a-z]+)", text))
    assert named - {"restore"} <= set(cli.cli.commands)
    assert set(re.findall(r"`ops-platform backup ([a-z]+)", text)) <= {"full", "diff", "incr"}


def test_every_metric_and_alert_is_explained_once() -> None:
    text = (DOCS / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Za-z0-9_:]+)", text, flags=re.MULTILINE)
    # Of the ratios over many windows, one row.
    ratios = {re.sub(r"(ratio_rate).*", r"\g<1>5m", name) for name in recorded()}
    own = {
        f"{one.name}_total" if one.type == "counter" else one.name
        for registry in (ApiMetrics().registry, GuardMetrics().registry)
        for one in registry.collect()
    }
    wanted = {*METRICS, *own, *ratios, *(rule["alert"] for rule in alerts())}
    assert sorted(rows) == sorted(wanted)
