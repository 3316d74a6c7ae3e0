"""Generated rules: each alert can fire, none divides by zero, and Prometheus itself says so."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
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
from ops_platform.slo.objectives import alert_options, alert_rules, burn_tiers, event_rates, openslo, promql
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform.slo.objectives.alert_policy import AlertPolicy
from ops_platform.slo.objectives.model import GaugeIndicator, Indicator, Objective, Period, Slicing
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
    found = burn_tiers.tiers(one)
    assert {tier.severity for tier in found} == {"critical", "warning"}
    for tier in found:
        # What must be bad, of everything: less than all, and more than what is allowed.
        assert one.budget <= tier.factor * one.budget < 1
    # Whatever burns faster than the budget lasts is told before it is spent: nothing burns in silence.
    slowest = found[-1]
    assert slowest.factor == 1
    assert slowest.long_minutes <= max(one.period.days * 144, 4320)


def test_the_usual_tiers_are_those_of_the_book() -> None:
    found = burn_tiers.tiers(OBJECTIVES["api-availability"])
    assert [(tier.severity, float(tier.factor), tier.long, tier.short) for tier in found] == [
        ("critical", 14.4, "1h", "5m"),
        ("critical", 6, "6h", "30m"),
        ("warning", 3, "1d", "2h"),
        ("warning", 1, "3d", "6h"),
    ]
    # At 90 % nothing burns faster than tenfold.
    assert float(burn_tiers.tiers(OBJECTIVES["media-transcoding"])[0].factor) == 8
    assert burn_tiers.tiers(OBJECTIVES["webhooks-signatures"]) == []


def test_the_slowest_tier_is_a_ticket_for_few_events_too() -> None:
    """Fifty events a day, and a bad one every three days: ten bad ones a month, of one and a half allowed."""
    fast, slow = alert_rules.alerts(OBJECTIVES["api-availability"])[:2]
    assert all("> 9.5)" in tier and "> 1.5)" in tier for tier in fast["expr"].split(" or "))
    assert slow["expr"].count("> 9.5) and (") == slow["expr"].count("> 1.5)") == 2
    assert slow["expr"].endswith(
        " > 1.5) or slo:events:rate5m"
        '{sloth_id="api-availability", sloth_service="api", sloth_slo="availability"} offset 3d))'
    )


def test_a_scale_makes_all_windows_shorter_or_longer_and_keeps_the_share_of_the_budget() -> None:
    one = OBJECTIVES["api-availability"]
    assert windows(one) == list(USUAL)
    short = replace(one, burn_window_scale=Fraction(1, 5))
    # The last two are those of the slowest tier, which has a tenth of the period.
    assert windows(short) == ["1m", "6m", "12m", "24m", "72m", "288m", "6h", "864m", "3d"]
    # The same share of the budget in a fifth of the time is five times the pace.
    assert [tier.factor for tier in burn_tiers.tiers(short)] == [
        *(5 * tier.factor for tier in burn_tiers.tiers(one)),
        1,
    ]
    assert windows(replace(one, burn_window_scale=Fraction(2))) == [
        "10m", "1h", "2h", "4h", "12h", "2d", "6d",
    ]  # fmt: skip


def test_ninety_days_cannot_burn_away_in_silence() -> None:
    long = replace(OBJECTIVES["api-availability"], period=Period("rolling", 90))
    tickets = [tier for tier in burn_tiers.tiers(long) if tier.severity == "warning"]
    assert [(float(tier.factor), tier.long, tier.short) for tier in tickets] == [
        (9, "1d", "2h"), (3, "3d", "6h"), (1, "9d", "18h"),
    ]  # fmt: skip


def windows(one: Objective) -> list[str]:
    return [burn_tiers.duration(minutes) for minutes in burn_tiers.windows(one)]


def every_rule() -> Iterator[dict[str, Any]]:
    for group in rules.render(list(OBJECTIVES.values()))["groups"]:
        yield from group["rules"]


def test_names_and_labels() -> None:
    recorded = {rule["record"] for rule in every_rule() if "record" in rule}
    assert recorded == {
        *(f"slo:sli_error:ratio_rate{window}" for window in (*USUAL, "30d")),
        "slo:events:rate5m",
        "slo:bad_events:rate5m",
        "slo:events:rate5m_every5m",
        "slo:bad_events:rate5m_every5m",
        "sloth_slo_info",
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


def test_windows_above_three_days_add_up_one_record_in_five_minutes() -> None:
    """Of records each 15 s a month holds 172,800, and each was decoded at every evaluation."""
    month, days = (
        event_rates.recordings(OBJECTIVES["api-availability"])[f"slo:sli_error:ratio_rate{window}"]
        for window in ("30d", "3d")
    )
    assert month.startswith("sum_over_time(slo:bad_events:rate5m_every5m{")
    assert month.count("[2591999s])") == 2
    assert days.count("[259199s:5m])") == 2
    [group] = [
        group
        for group in rules.render([OBJECTIVES["api-availability"]])["groups"]
        if group["name"] == "slo-days-api-availability"
    ]
    assert group["interval"] == "5m"
    assert [rule["expr"].partition("{")[0] for rule in group["rules"]] == [
        "slo:events:rate5m", "slo:bad_events:rate5m",
    ]  # fmt: skip


def test_raw_samples_are_read_over_the_shortest_window_only() -> None:
    """So that no other rule, however long its window, costs more with more series."""
    for one in OBJECTIVES.values():
        raw = [
            rule
            for group in rules.render([one])["groups"]
            for rule in group["rules"]
            if one.indicator.total.metric in rule["expr"]
        ]
        *recorded, absent = [rule.get("record") or rule["alert"] for rule in raw]
        assert (tuple(recorded), absent) == (event_rates.names(one), alert_rules.ABSENT)
        assert set(re.findall(r"\[(\w+)\]", " ".join(rule["expr"] for rule in raw))) == {"5m"}


def test_time_slices_are_reconciled_as_slices() -> None:
    one = OBJECTIVES["api-availability"]
    assert isinstance(one.indicator, Indicator)
    sliced = replace(one, indicator=replace(one.indicator, slicing=Slicing(300, Fraction(99, 100))))
    assert "[30d]" in event_rates.raw_ratio(one)
    slices = event_rates.raw_ratio(sliced)
    assert slices.count("[2592000s:60s]") == 2
    assert slices.count(">= bool 0.99") == 2


def test_a_document_names_grades_labels_and_disables_its_alerts() -> None:
    options = {
        "min-events": "500",
        "disable": "spent, absent",
        "severity": "warning",
        "severity.burn-fast": "critical",
        "name.burn-slow": "ApiLeaks",
        "label-team": "payments",
        "label-team.undecided": "platform",
        "annotation-dashboard": "https://example.com/{{x}}",
        "annotation-summary.burn-fast": "Come",
    }
    given = alert_options.parse({f"ops-platform/alert-{name}": value for name, value in options.items()})
    document = replace(
        OBJECTIVES["api-availability"],
        alerts=given,
        labels=(("service", "other"), ("tier", "1")),
        annotations=(("example.com/owner", "Ann"), ("summary", "ours is better")),
    )
    fast, slow, undecided = alert_rules.alerts(document)
    assert [rule["alert"] for rule in (fast, slow, undecided)] == [
        "ErrorBudgetBurnFast", "ApiLeaks", "ErrorBudgetUndecided",
    ]  # fmt: skip
    assert [rule["labels"]["severity"] for rule in (fast, slow, undecided)] == [
        "critical", "warning", "warning",
    ]  # fmt: skip
    assert [rule["labels"]["team"] for rule in (fast, slow, undecided)] == [
        "payments", "payments", "platform",
    ]  # fmt: skip
    assert slow["annotations"]["dashboard"] == 'https://example.com/{{"{{"}}x}}'
    assert (fast["annotations"]["summary"], "> 499.5)" in fast["expr"]) == ("Come", True)
    assert (slow["labels"]["tier"], slow["labels"]["service"]) == ("1", "api")
    assert slow["annotations"]["example_com_owner"] == "Ann"
    assert slow["annotations"]["summary"].startswith("API availability")
    # It still is the burn alert of this objective, with the runbook of its kind.
    assert slow["annotations"]["runbook_url"].endswith("#errorbudgetburnslow")
    burning_labels = {"alertname": slow["alert"], **slow["labels"]}
    assert alert_rules.burning_objective(burning_labels) == ("api", "availability")
    assert alert_rules.burning_objective({"alertname": "Other", **undecided["labels"]}) is None
    none = replace(given, disabled=frozenset(alert_options.KINDS))
    groups = rules.render([replace(OBJECTIVES["api-availability"], alerts=none)])["groups"]
    assert [group["name"] for group in groups] == [
        "slo-sli-api-availability",
        "slo-days-api-availability",
        "slo-meta-api-availability",
    ]


def test_shares_have_no_least_number_of_bad_ones() -> None:
    """Three hundredths of a percent of 4,320 minutes are 1.3, and burn 99.99 % three times too fast."""
    usual = replace(OBJECTIVES["api-availability"], target=Fraction(9999, 10000))
    by_gauge = GaugeIndicator(promql.gauge("up"))
    whole, sliced = (
        replace(usual, indicator=replace(usual.indicator, slicing=slicing))
        for slicing in (Slicing(60, Fraction(1, 2)), Slicing(60))
    )
    for one in (sliced, replace(usual, indicator=by_gauge)):
        assert one.indicator.unit.startswith("millionths")
        fast, slow = alert_rules.alerts(one)[:2]
        assert all("> 9.5)" in rule["expr"] and "> 1.5)" not in rule["expr"] for rule in (fast, slow))
        strict = alert_rules.alerts(replace(one, target=Fraction(1)))[0]
        assert strict["expr"].endswith("* 300 > 5e-07)")
    for one in (usual, whole, replace(usual, indicator=replace(by_gauge, operator="gt"))):
        assert not one.indicator.unit.startswith("millionths")
        assert all("> 1.5)" in rule["expr"] for rule in alert_rules.alerts(one)[:2])
        assert alert_rules.alerts(replace(one, target=Fraction(1)))[0]["expr"].endswith("* 300 > 0.5)")


TEMPLATES = replace(
    OBJECTIVES["api-availability"],
    title="{{ oops",
    description="{{ oops",
    runbook_url="{{ oops",
    labels=(("1team", "{{ oops"), ("a.b/c", "{{ $x }}")),
    annotations=(("1team", "{{ oops"),),
    alert_policies=(
        AlertPolicy("p", "{{ oops", "{{ oops", "gt", Decimal(2), 3600, 0, ("{{ oops",), True, True),
    ),
)


def test_no_document_can_make_the_file_unloadable() -> None:
    made = [
        rule for group in rules.render([TEMPLATES])["groups"] for rule in group["rules"] if "alert" in rule
    ]
    assert {"SloPolicyP", "SloPolicyPNoData"} <= {rule["alert"] for rule in made}
    for rule in made:
        texts = {**rule["labels"], **{f"a{name}": text for name, text in rule["annotations"].items()}}
        assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in texts)
        for text in texts.values():
            # Apart from what we make of them there is no template of theirs.
            rest = text.replace('{{"{{"}}', "").replace("{{ $value", "")
            assert "{{" not in rest


def test_each_prometheus_gets_the_rules_of_what_it_has(tmp_path: Path) -> None:
    """The exact figures are where the agent is scraped, the events where metricSourceRef says."""
    usual = (files.default_config_dir() / "objectives" / "api-availability.yaml").read_text()
    there = usual.replace("name: availability", "name: eu").replace(
        "type: Prometheus", "metricSourceRef: eu\n            type: Prometheus"
    )
    for name, text in (("here", usual), ("eu", there)):
        (tmp_path / f"{name}.yaml").write_text(text)

    def alerts(*more: str) -> dict[str, list[str]]:
        done = CliRunner().invoke(cli, ["slo", "rules", "--objectives", str(tmp_path), *more])
        assert done.exit_code == 0, done.output
        groups = yaml.safe_load(done.output)["groups"]
        return {group["name"]: [rule.get("alert", "") for rule in group["rules"]] for group in groups}

    here, there_ = alerts(), alerts("--source", "eu")
    assert here["slo-alerts-api-eu"] == [alert_rules.SPENT, alert_rules.UNDECIDED]
    assert len(here["slo-alerts-api-availability"]) == 5
    assert set(here) == {
        *(f"slo-{part}-api-availability" for part in ("sli", "days", "meta", "alerts")), "slo-alerts-api-eu",
    }  # fmt: skip
    assert there_["slo-alerts-api-eu"] == [*alert_rules.BURN_ALERTS, alert_rules.ABSENT]
    assert set(there_) == {f"slo-{part}-api-eu" for part in ("sli", "days", "meta", "alerts")}
    objects = CliRunner().invoke(
        cli, ["slo", "rules", "--objectives", str(tmp_path), "--format", "kubernetes"]
    )
    assert objects.output.count("kind: PrometheusRule") == 2
    shown = CliRunner().invoke(cli, ["slo", "validate", str(tmp_path / "eu.yaml")])
    assert "metricSourceRef eu is not in OPS_PROMETHEUS_URLS here" in shown.output


def test_another_server_is_another_version_and_without_a_name_it_stays_as_it_was() -> None:
    events = Indicator(Selector.parse("a_total"), bad=Selector.parse('a_total{code="500"}'))
    gauge = GaugeIndicator(promql.gauge("up"), "gt", Fraction(0))
    assert (events.version, gauge.version) == ("1259a74d5003", "6bf6acbb764b")
    for one in (events, gauge):
        assert len({replace(one, source=name).version for name in (None, "eu", "us")}) == 3


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("min-evnts", "5", "'min-events'|min-events"),
        ("min-events", "few", "whole number"),
        ("min-events.spent", "5", "spent"),
        ("disable", "burn-fats", "burn-fast"),
        ("severity", "page", "critical or warning"),
        ("severity.burnfast", "warning", "did you mean burn-fast"),
        ("name", "Ours", "name one alert"),
        ("name.spent", "two words", "name one alert"),
        ("label-severity", "info", "set by the rules"),
        ("label-", "x", "label"),
    ],
)
def test_what_cannot_be_followed_is_refused(name: str, value: str, word: str) -> None:
    with pytest.raises(alert_options.AlertOptionError, match=word):
        alert_options.parse({f"ops-platform/alert-{name}": value})


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
    file.with_name("templates.yml").write_text(rules.text([TEMPLATES]))
    done = promtool("check", "rules", str(file.with_name("templates.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def promtool_test(file: Path, objectives: list[Objective], every: str, cases: list[Any]) -> dict[str, Any]:
    """Make a test whose alerts look at what was recorded at the same moment: by itself the order is any."""
    groups = [group["name"] for group in rules.render(objectives)["groups"]]
    return {
        "rule_files": [str(file)],
        "evaluation_interval": every,
        "group_eval_order": groups,
        "tests": cases,
    }


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
            for name, severity in ((alert_rules.FAST, "critical"), (alert_rules.SLOW, "warning"))
        ],
    }


def is_alert_of(rule: dict[str, Any], one: Objective) -> bool:
    severity = {alert_rules.FAST: "critical", alert_rules.SLOW: "warning"}.get(rule.get("alert", ""))
    labels = {"service": one.service, "slo": one.name, "severity": severity}
    labels |= {
        "sloth_severity": "page" if severity == "critical" else "ticket",
        "sloth_id": one.id,
        "sloth_service": one.service,
        "sloth_slo": one.name,
    }
    return rule["labels"] == labels


@pytest.mark.services
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_alerts_fire_when_the_budget_burns_and_not_before(tmp_path: Path, name: str) -> None:
    one = OBJECTIVES[name]
    file = tmp_path / "slo.yml"
    file.write_text(rules.text([one]))
    cases = [burnt(one, Fraction(0), set())]
    if one.target == 1:
        cases.append(burnt(one, Fraction(1, 1000), {"critical"}))
    else:
        page = burn_tiers.tiers(one)[0].factor * one.budget
        cases.append(burnt(one, page * Fraction(11, 10), {"critical", "warning"}))
        # Within its budget, for days.
        cases.append(burnt(one, one.budget / 2, set()))
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(promtool_test(file, [one], "5m", cases)))
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
        if rule.get("alert") == alert_rules.FAST
    ]
    test = promtool_test(
        tmp_path / "slo.yml",
        [one],
        "5m",
        [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values}
                    for name, values in burning(one, Fraction(1, 2), 90).items()
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "90m",
                        "alertname": alert_rules.FAST,
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
    )
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(test))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.services
def test_without_traffic_there_is_no_ratio(tmp_path: Path) -> None:
    one = OBJECTIVES["api-availability"]
    file = tmp_path / "slo.yml"
    file.write_text(rules.text([one]))
    test = promtool_test(
        file,
        [one],
        "1m",
        [
            {
                "interval": "1m",
                "input_series": [{"series": 'product_api_responses_total{code="200"}', "values": "7+0x60"}],
                "promql_expr_test": [
                    {"expr": f'slo:sli_error:ratio_rate5m{{sloth_id="{one.id}"}}', "eval_time": "60m"}
                ],
            }
        ],
    )
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.services
def test_slow_burns_and_low_targets_are_told(tmp_path: Path) -> None:
    """Ninety days at 2.5 times the pace, and 5 % of 15 % that are promised; neither at the pace itself."""
    usual = OBJECTIVES["api-availability"]
    long, low = (
        replace(usual, name="long", period=Period("rolling", 90)),
        replace(usual, name="low", target=Fraction(15, 100)),
    )
    document = rules.render([long, low])
    for group in document["groups"]:
        # What they record of raw samples is given: ten days of those are too many.
        group["rules"] = [
            rule for rule in group["rules"] if rule.get("record") not in event_rates.names(usual)
        ]
    (tmp_path / "slo.yml").write_text(json.dumps(document))
    hours = 10 * 24

    def burns(one: Objective, share: Fraction) -> dict[str, str]:
        return {
            f"{name}{event_rates.own(one)}": f"{float(rate)}x{12 * hours}"
            for name, rate in zip(event_rates.names(one), (Fraction(10), 10 * share), strict=True)
        }

    def case(of_long: Fraction, of_low: Fraction, fires: set[tuple[str, str]]) -> dict[str, Any]:
        return {
            "interval": "5m",
            "input_series": [
                {"series": name, "values": values}
                for name, values in (burns(long, of_long) | burns(low, of_low)).items()
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname, slo) (ALERTS{sloth_severity!=""})',
                    "eval_time": f"{hours}h",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}", slo="{slo}"}}', "value": 1} for name, slo in fires
                    ],
                }
            ],
        }

    fast, slow = alert_rules.BURN_ALERTS
    test = promtool_test(
        tmp_path / "slo.yml",
        [long, low],
        "2h",
        [
            case(
                long.budget * Fraction(5, 2),
                Fraction(95, 100),
                {(slow, "long"), (fast, "low"), (slow, "low")},
            ),
            case(long.budget * Fraction(9, 10), Fraction(84, 100), set()),
        ],
    )
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(test))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
