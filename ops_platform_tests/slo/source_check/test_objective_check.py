"""A corpus of Prometheuses that cannot be counted from, each beside a twin that can."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from ops_platform.clients.prometheus import Prometheus, Rule, Target
from ops_platform.errors import Unavailable
from ops_platform.slo import source_check
from ops_platform.slo.objectives import Indicator, Objective, Period, Selector
from ops_platform.slo.source_check import ObjectiveCheck
from ops_platform_tests.console import Console
from ops_platform_tests.slo.counting.stored import Answer, Memory, Stored
from ops_platform_tests.slo.recorded import prometheus_with

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIRST = NOW - timedelta(minutes=95)
OLD = NOW - timedelta(days=30, hours=1)
TARGET: dict[str, Any] = {"job": "api", "instance": "a:1"}
LABELS = '{instance="a:1",job="api"}'


@dataclass(frozen=True)
class Asked(Memory):
    """Answers the questions of the check, too."""

    paths: tuple[tuple[str, str], ...] = ()
    recordings: tuple[str, ...] = ()
    silent: bool = False
    """It tells neither targets nor rules, as Thanos and Mimir."""

    def query(self, query: str, at: datetime) -> Answer:
        grouped = re.fullmatch(r"group by \((\w+)\) \(last_over_time\((.*)\[(\d+)s\]\)\)", query)
        if query == "vector(1)":
            return Answer([])
        if grouped is None:
            seconds = re.fullmatch(r"(.*)\[(\d+)s\]", query)
            raw = f"{seconds[1]}[{int(seconds[2]) * 1000}ms]" if seconds else query
            answer = super().query(raw, at)
            return Answer([series for series in answer.series if series.samples])
        label, selector, span = grouped.groups()
        found = super().query(f"{selector}[{int(span) * 1000}ms]", at)
        values = {series.labels.get(label, "") for series in found.series if series.samples}
        return Answer([Stored({label: value} if value else {}, []) for value in values])

    def _selected(self, query: str) -> list[Stored]:
        return list(self.data) if query.startswith("{__name__=~") else super()._selected(query)

    def targets(self) -> list[Target]:
        if self.silent:
            raise Unavailable("404")
        return [Target(job, "x", "up", "", path) for job, path in self.paths]

    def rules(self) -> list[Rule]:
        if self.silent:
            raise Unavailable("404")
        return [Rule("g", name, "recording", "x", "ok", "") for name in self.recordings]


def series(name: str, step: int = 30, value: int | None = None, **labels: str) -> Stored:
    """One event a second; a ``value`` that stays. An old sample says that the period is covered."""
    times = np.arange(FIRST.timestamp(), NOW.timestamp() + 1, step)
    values = times - times[0] if value is None else np.full(times.shape, value)
    samples = [(float(at), float(shown)) for at, shown in zip(times, values, strict=True)]
    return Stored({"__name__": name, **labels}, [(OLD.timestamp() + 1800, 0.0), *samples])


def scraped(step: int = 30, start: bool = True, **more: str) -> list[Stored]:
    labels: dict[str, Any] = {**TARGET, **more}
    begun = int(FIRST.timestamp()) - 9000
    return [
        series("up", step, 1, **labels),
        *([series("process_start_time_seconds", step, begun, **labels)] if start else []),
    ]


def counters(step: int = 30, **more: str) -> list[Stored]:
    labels: dict[str, Any] = {**TARGET, **more}
    return [
        series("responses_total", step, code="200", **labels),
        series("responses_total", step, code="500", value=3, **labels),
    ]


def objective(bad: str = 'responses_total{code=~"5.."}', total: str = "responses_total") -> Objective:
    indicator = Indicator(total=Selector.parse(total), bad=Selector.parse(bad))
    return Objective("api", "availability", "t", "d", Fraction(999, 1000), indicator, Period("rolling", 30))


def checked(source: Asked, one: Objective | None = None) -> ObjectiveCheck:
    [found] = source_check.check(cast(Prometheus, source), [one or objective()], NOW)
    return found


def said(found: ObjectiveCheck) -> str:
    return "\n".join(str(finding) for finding in found.findings)


HEALTHY = Asked([*scraped(), *counters()])
WITHOUT_UP = counters()


def test_a_healthy_one_is_known_and_nothing_is_said() -> None:
    found = checked(HEALTHY)
    assert (found.status, found.reason, found.findings) == ("known", None, ())
    assert found.count is not None
    assert (found.count.total, found.count.bad) == (3600, 0)


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        (Asked(WITHOUT_UP), "unknown", 'there is no up{job="api"}'),
        (Asked(WITHOUT_UP, silent=True), "unknown", "keep up in what is written here"),
        (
            Asked([*WITHOUT_UP, series("push_time_seconds", **TARGET)]),
            "unknown",
            "a Pushgateway, and whether",
        ),
        (
            Asked([*scraped(), *counters(), series("push_time_seconds", **TARGET)]),
            "doubtful",
            "is not missed",
        ),
        (Asked([*WITHOUT_UP, series("target_info", **TARGET)]), "unknown", "sent by OpenTelemetry"),
        (Asked(WITHOUT_UP, paths=(("f", "/federate"),)), "unknown", "federation (job f)"),
        (Asked(WITHOUT_UP, recordings=("responses_total",)), "unknown", "made by a recording rule"),
        (Asked([series("responses_total", code="200")]), "unknown", "have no label job"),
        (Asked([*scraped(310), *counters(310)]), "bounded", "job api is scraped every 310 s"),
        (Asked([*scraped(240), *counters(240)]), "known", "else one failed scrape is a gap"),
        (Asked([*scraped(), *counters()][:1]), "unknown", "no series called responses_total was ever stored"),
        (Asked([*scraped(), series("response_total", **TARGET)]), "unknown", "is it response_total?"),
    ],
)
def test_each_cause_is_named(source: Asked, status: str, words: str) -> None:
    found = checked(source)
    assert words in said(found)
    assert found.status == status


@pytest.mark.parametrize(
    "source",
    [
        # Another instance of the job pushes; another job federates, is a rule, or is sent by OpenTelemetry.
        Asked([*HEALTHY.data, series("push_time_seconds", job="api", instance="batch")]),
        Asked([*HEALTHY.data, series("target_info", **TARGET)]),
        Asked(HEALTHY.data, paths=(("f", "/federate"),)),
        Asked(HEALTHY.data, recordings=("other_total",)),
        Asked([*scraped(150), *counters(150)]),
        Asked(HEALTHY.data, silent=True),
    ],
)
def test_each_cause_has_a_twin_that_is_none(source: Asked) -> None:
    found = checked(source)
    assert (found.status, found.findings) == ("known", ())


@pytest.mark.parametrize(
    ("bad", "total", "status", "words"),
    [
        ('responses_total{code=~"9.."}', "responses_total", "known", "unless nothing bad has ever happened"),
        ('responses_total{status=~"5.."}', "responses_total", "doubtful", "have no label status"),
        ('responces_total{code=~"5.."}', "responses_total", "doubtful", "is it responses_total?"),
        ('responses_total{code="500"}', 'responses_total{job="web"}', "unknown", "whose job is api"),
    ],
)
def test_a_selector_that_selects_nothing(bad: str, total: str, status: str, words: str) -> None:
    found = checked(HEALTHY, objective(bad, total))
    assert words in said(found)
    assert found.status == status


def test_a_bucket_that_is_not_there_is_named_beside_those_that_are() -> None:
    data = [*scraped(), series("seconds_count", **TARGET), series("seconds_bucket", le="0.5", **TARGET)]
    one = objective()
    for bound, status in (("0.3", "unknown"), ("0.5", "known")):
        indicator = Indicator(
            total=Selector.parse("seconds_count"), good=Selector.parse(f'seconds_bucket{{le="{bound}"}}')
        )
        found = checked(Asked(data), replace(one, indicator=indicator))
        assert ("name one of those that there are: 0.5" in said(found)) == (status == "unknown")
        assert (found.status == "known") == (status == "known")


def test_notes_leave_it_known() -> None:
    young = [replace(one, samples=one.samples[1:]) for one in [*scraped(start=False), *counters()]]
    assert "no samples of responses_total at the beginning" not in said(checked(Asked(young)))
    assert "does not report process_start_time_seconds" in said(checked(Asked(young)))
    begun = [replace(one, samples=one.samples[1:]) for one in HEALTHY.data]
    found = checked(Asked(begun))
    assert (found.status, found.findings[0].blocking) == ("known", False)
    assert "at the beginning of its period, 2026-01-01" in said(found)
    assert checked(Asked(begun), replace(objective(), period=Period("rolling", 0))).findings == ()


def test_one_that_refuses_an_answer_does_not_hide_the_others() -> None:
    class Refusing(Asked):
        def query(self, query: str, at: datetime | None = None) -> Answer:
            if "slow_total" in query:
                raise Unavailable("Prometheus refused POST /api/v1/query with 422: too many")
            return super().query(query, at or NOW)

    both = [objective(), objective(total="slow_total")]
    first, second = source_check.check(cast(Prometheus, Refusing(HEALTHY.data)), both, NOW)
    assert (first.status, second.status) == ("known", "unknown")
    assert "422" in said(second)


@pytest.mark.services
def test_the_console_says_it_of_a_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each question is understood by a real Prometheus: PromQL, index, targets and rules."""
    environ = {"PATH": os.environ["PATH"], "OPS_STATE_DIR": str(tmp_path / "state")}
    console = Console(environ, monkeypatch, capsys)
    now = datetime.now(UTC)

    def lines(found: Sequence[Stored]) -> dict[str, list[tuple[float, float]]]:
        shift = (now - NOW).total_seconds()
        return {
            f"{one.labels['__name__']}{{{inside}}}": [(at + shift, value) for at, value in one.samples[1:]]
            for one in found
            for inside in [",".join(f'{k}="{v}"' for k, v in one.labels.items() if k != "__name__")]
        }

    quiet = [series("quiet_total", job="pushed", instance="b:1"),
             series("push_time_seconds", job="pushed", instance="b:1")]  # fmt: skip
    objectives = tmp_path / "objectives"
    objectives.mkdir()
    for name, total in (
        ("right", "responses_total"),
        ("wrong", "responces_total"),
        ("pushed", "quiet_total"),
    ):
        (objectives / f"{name}.yaml").write_text(
            f"""apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}}}
spec:
  service: api
  indicator: {{spec: {{ratioMetric: {{counter: true,
    bad: {{metricSource: {{spec: {{query: '{total}{{code="500"}}'}}}}}},
    total: {{metricSource: {{spec: {{query: {total}}}}}}}}}}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: 0.999}}]
"""
        )
    with prometheus_with(lines([*HEALTHY.data, *quiet]), tmp_path) as prometheus:
        arguments = ["slo", "check", "--objectives", str(objectives), "--prometheus", prometheus.url]
        ended = console.run(*arguments, "--json")
        shown = console.run(*arguments)
    assert (ended.returncode, shown.returncode) == (1, 1)
    found: dict[str, Any] = {one["slo"]: one for one in json.loads(ended.stdout)}
    assert {name: one["status"] for name, one in found.items()} == {
        "right": "known", "wrong": "unknown", "pushed": "unknown",
    }  # fmt: skip
    assert found["right"]["total_events"] == pytest.approx(3600, abs=60)
    assert "is it responses_total?" in shown.stderr
    assert "Pushgateway" in shown.stderr
