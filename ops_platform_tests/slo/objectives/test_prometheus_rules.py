"""Generated rules: each alert can fire, none divides by zero, and Prometheus itself says so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ops_platform import files
from ops_platform.cli import cli
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform.slo.objectives.model import Indicator, Objective, Period
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests.slo.burning import burning

USUAL = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
OBJECTIVES = {one.id: one for one in openslo.load_directory(files.default_config_dir() / "objectives")}


@given(st.integers(1, 99_999), st.integers(1, 90))
def test_every_tier_can_fire(target: int, days: int) -> None:
    one = Objective(
        "s",
        "n",
        "",
        "",
        Fraction(target, 100_000),
        Indicator(Selector("a_total", ())),
        Period("rolling", days),
    )
    found = rules.tiers(one)
    assert {tier.severity for tier in found} == {"critical", "warning"}
    for tier in found:
        # What must be bad, of everything: less than all.
        assert 0 < tier.factor * one.budget <= rules.REACHABLE
        # Nobody is called for a pace at which the budget lasts.
        assert tier.factor >= 1 or tier.factor * one.budget == rules.REACHABLE


def test_the_usual_tiers_are_those_of_the_book() -> None:
    found = rules.tiers(OBJECTIVES["api-availability"])
    assert [(tier.severity, float(tier.factor), tier.long, tier.short) for tier in found] == [
        ("critical", 14.4, "1h", "5m"),
        ("critical", 6, "6h", "30m"),
        ("warning", 3, "1d", "2h"),
        ("warning", 1, "3d", "6h"),
    ]
    # At 90 % nothing burns faster than tenfold.
    assert float(rules.tiers(OBJECTIVES["media-transcoding"])[0].factor) == 8
    assert rules.tiers(OBJECTIVES["webhooks-signatures"]) == []


def test_a_scale_makes_all_windows_shorter_or_longer_and_keeps_the_share_of_the_budget() -> None:
    one = OBJECTIVES["api-availability"]
    assert tuple(rules.windows(one)) == USUAL
    short = replace(one, burn_window_scale=Fraction(1, 5))
    assert rules.windows(short) == ["1m", "6m", "12m", "24m", "72m", "288m", "864m"]
    # The same share of the budget in a fifth of the time is five times the pace.
    assert [tier.factor for tier in rules.tiers(short)] == [5 * tier.factor for tier in rules.tiers(one)]
    assert rules.windows(replace(one, burn_window_scale=Fraction(2))) == [
        "10m", "1h", "2h", "4h", "12h", "2d", "6d",
    ]  # fmt: skip


def every_rule() -> Iterator[dict[str, Any]]:
    for group in rules.render(list(OBJECTIVES.values()))["groups"]:
        yield from group["rules"]


def test_names_and_labels() -> None:
    recorded = {rule["record"] for rule in every_rule() if "record" in rule}
    assert recorded == {
        *(f"slo:sli_error:ratio_rate{window}" for window in (*USUAL, "30d")),
        "slo:objective:ratio",
        "slo:error_budget:ratio",
        "slo:time_period:days",
        "slo:current_burn_rate:ratio",
        "slo:period_burn_rate:ratio",
        "slo:period_error_budget_remaining:ratio",
    }
    for rule in every_rule():
        assert {"sloth_id", "sloth_service", "sloth_slo"} <= set(rule["labels"])
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert {"summary", "description", "runbook_url"} <= set(rule["annotations"])


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rules")
    done = CliRunner().invoke(cli, ["slo", "rules", "--out", str(directory)])
    assert done.exit_code == 0, done.output
    return directory / "slo.yml"


def test_the_rules_carried_along_are_those_of_the_default_objectives(file: Path) -> None:
    carried = files.carried("dashboards") / "prometheus" / "rules" / "slo.yml"
    hint = "generate it anew: ops-platform slo rules --out dashboards/prometheus/rules"
    assert carried.read_text(encoding="utf-8") == file.read_text(encoding="utf-8"), hint


@pytest.mark.services
def test_promtool_accepts_them(file: Path) -> None:
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def burnt(one: Objective, share: Fraction, fires: set[str], minutes: int = 90) -> dict[str, Any]:
    """A share of bad events for some minutes, and the severities that are to fire at their end."""
    known = {rule["labels"]["severity"] for rule in every_rule() if is_alert_of(rule, one)}
    assert fires <= known, "no rule could fire"
    firing = f'slo="{one.name}",alertstate="firing"'
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in burning(one, share, minutes).items()
        ],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertname="{name}",{firing}}})',
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] * (severity in fires),
            }
            for name, severity in ((rules.FAST, "critical"), (rules.SLOW, "warning"))
        ],
    }


def is_alert_of(rule: dict[str, Any], one: Objective) -> bool:
    severity = {rules.FAST: "critical", rules.SLOW: "warning"}.get(rule.get("alert", ""))
    labels = {"service": one.service, "slo": one.name, "severity": severity}
    labels |= {"sloth_id": one.id, "sloth_service": one.service, "sloth_slo": one.name}
    return rule["labels"] == labels


@pytest.mark.services
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_alerts_fire_when_the_budget_burns_and_not_before(file: Path, tmp_path: Path, name: str) -> None:
    one = OBJECTIVES[name]
    cases = [burnt(one, Fraction(0), set())]
    if one.target == 1:
        cases.append(burnt(one, Fraction(1, 1000), {"critical"}))
    else:
        page = rules.tiers(one)[0].factor * one.budget
        cases.append(burnt(one, page * Fraction(11, 10), {"critical", "warning"}))
        # Within its budget, for days.
        cases.append(burnt(one, one.budget / 2, set()))
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": [str(file)], "evaluation_interval": "5m", "tests": cases}))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.services
def test_what_people_wrote_is_no_template(tmp_path: Path) -> None:
    one = replace(
        OBJECTIVES["publishing-success"],
        title='{{ $labels.slo }} and {{{ "x" }}',
        description="{{ nonsense",
        runbook_url="https://example.com/{{page}}",
    )
    (tmp_path / "slo.yml").write_text(rules.text([one]))
    [fast] = [
        rule
        for group in rules.render([one])["groups"]
        for rule in group["rules"]
        if rule.get("alert") == rules.FAST
    ]
    test = {
        "rule_files": [str(tmp_path / "slo.yml")],
        "evaluation_interval": "5m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values}
                    for name, values in burning(one, Fraction(1, 2), 90).items()
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "90m",
                        "alertname": rules.FAST,
                        "exp_alerts": [
                            {
                                "exp_labels": fast["labels"],
                                "exp_annotations": {
                                    "summary": f"{one.title}: the error budget is spent fast: at this pace "
                                    "the promise breaks within days",
                                    "description": "{{ nonsense Promised are 99.0 %; bad are 50%.",
                                    "runbook_url": one.runbook_url,
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(test))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.services
def test_without_traffic_there_is_no_ratio(file: Path, tmp_path: Path) -> None:
    one = OBJECTIVES["api-availability"]
    test = {
        "rule_files": [str(file)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": 'product_api_responses_total{code="200"}', "values": "7+0x60"}],
                "promql_expr_test": [
                    {"expr": f'slo:sli_error:ratio_rate5m{{sloth_id="{one.id}"}}', "eval_time": "60m"}
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
