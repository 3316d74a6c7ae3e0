"""``ops-platform`` alone: five lines, in which nothing unknown is good."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops_platform.agent.metrics.registry import METRICS
from ops_platform.cli.overview import Samples, duty_lines
from ops_platform_tests.console import Console

NOW = 1_800_000_000.0
PRODUCT = {"stanza": "product"}
LATEST = {"stanza": "product", "scenario": "latest"}
SLO = {"service": "api", "slo": "availability", "window": "30d"}
Key = tuple[str, tuple[tuple[str, str], ...]]


def key(name: str, labels: Mapping[str, str]) -> Key:
    return name, tuple(labels.items())


GOOD: dict[Key, float] = {
    key("backup_rpo_target_seconds", PRODUCT): 900,
    key("backup_rpo_seconds", PRODUCT): 12,
    key("backup_rpo_known", PRODUCT): 1,
    key("backup_recoverable_seconds", PRODUCT): 86400,
    key("backup_wal_gap_segments", PRODUCT): 0,
    key("backup_last_run_failed", {**PRODUCT, "kind": "full"}): 0,
    key("dr_exercise_expected_since_timestamp_seconds", LATEST): NOW - 9 * 86400,
    key("dr_exercise_last_success_timestamp_seconds", LATEST): NOW - 7200,
    key("dr_exercise_last_failed", LATEST): 0,
    key("slo_period_info", SLO): 1,
    key("slo_verdict", {**SLO, "verdict": "met"}): 1,
    key("slo_verdict", {**SLO, "verdict": "breached"}): 0,
    key("gdpr_oldest_pending_seconds", {"request_type": "erasure"}): 3600,
    key("gdpr_oldest_pending_seconds", {"request_type": "export"}): 0,
}


def verdicts(samples: Mapping[Key, float]) -> list[str]:
    told = [(name, dict(labels), value) for (name, labels), value in samples.items()]
    return [line.verdict for line in duty_lines(Samples(told), NOW)]


def test_all_is_well() -> None:
    told = [(name, dict(labels), value) for (name, labels), value in GOOD.items()]
    assert [(line.duty, line.verdict, line.text) for line in duty_lines(Samples(told), NOW)] == [
        ("backup", "ok", "product: 12.0 s would be lost now"),
        ("recovery", "ok", "1 of 1 exercises succeeded in their time, the newest 2 h 0 min ago"),
        ("objectives", "ok", "1 met, 0 at risk, 0 breached, 0 undecided"),
        ("requests", "ok", "erasure: oldest waits for 1 h 0 min; export: none waits"),
    ]


@pytest.mark.parametrize(
    ("changed", "value", "line"),
    [
        (key("backup_rpo_seconds", PRODUCT), 901, 0),
        (key("backup_wal_gap_segments", PRODUCT), 1, 0),
        (key("backup_recoverable_seconds", PRODUCT), 0, 0),
        (key("backup_last_run_failed", {**PRODUCT, "kind": "full"}), 1, 0),
        (key("dr_exercise_last_failed", LATEST), 1, 1),
        (key("dr_exercise_last_success_timestamp_seconds", LATEST), NOW - 36 * 86400, 1),
        (key("slo_verdict", {**SLO, "verdict": "breached"}), 1, 2),
        (key("gdpr_oldest_pending_seconds", {"request_type": "erasure"}), 73 * 3600, 3),
    ],
)
def test_what_is_wrong_is_said(changed: Key, value: float, line: int) -> None:
    samples = {**GOOD, changed: value}
    if changed[0] == "slo_verdict":
        del samples[key("slo_verdict", {**SLO, "verdict": "met"})]
    assert verdicts(samples) == ["WRONG" if number == line else "ok" for number in range(4)]


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (key("backup_rpo_target_seconds", PRODUCT), 0),
        (key("backup_rpo_seconds", PRODUCT), 0),
        (key("backup_rpo_known", PRODUCT), 0),
        (key("backup_recoverable_seconds", PRODUCT), 0),
        (key("backup_wal_gap_segments", PRODUCT), 0),
        (key("dr_exercise_expected_since_timestamp_seconds", LATEST), 1),
        (key("dr_exercise_last_success_timestamp_seconds", LATEST), 1),
        (key("slo_period_info", SLO), 2),
        (key("slo_verdict", {**SLO, "verdict": "met"}), 2),
        (key("gdpr_oldest_pending_seconds", {"request_type": "export"}), 3),
    ],
)
def test_what_is_unknown_is_not_good(missing: Key, line: int) -> None:
    samples = {one: value for one, value in GOOD.items() if one != missing}
    assert verdicts(samples) == ["unknown" if number == line else "ok" for number in range(4)]


def test_the_agent_has_these_metrics() -> None:
    labels = {metric.name: set(metric.labels) for metric in METRICS.values()}
    assert [name for name, given in GOOD if not {one for one, _ in given} <= labels.get(name, set())] == []


@pytest.mark.parametrize(
    ("environ", "code", "said"),
    [
        ({}, 2, "Nothing is set up here"),
        (
            {"OPS_METRICS_URL": "http://127.0.0.1:1/metrics"},
            1,
            "cannot reach the agent at http://127.0.0.1:1",
        ),
    ],
)
def test_without_a_platform_it_says_what_to_do(
    environ: dict[str, str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPS_STATE_DIR": str(tmp_path)}
    shown = Console(clean, monkeypatch, capsys).run(**environ)
    assert shown.returncode == code
    assert said in shown.stdout + shown.stderr
    assert [line for line in shown.stdout.splitlines() if " ok " in line] == []


def test_the_status_without_a_stack_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPS_STATE_DIR": str(tmp_path)}
    shown = Console(clean, monkeypatch, capsys).run("status")
    assert shown.returncode == 1
    assert "ops-platform up" in shown.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COMP_WORDS": "ops-platform slo ex"}
    console = Console({**clean, "COMP_CWORD": "ex" if shell == "fish" else "2"}, monkeypatch, capsys)
    shown = console.run(_OPS_PLATFORM_COMPLETE=f"{shell}_complete")
    assert {"exclusion", "export"} <= set(shown.stdout.replace(",", "\n").replace("\t", "\n").split("\n"))
