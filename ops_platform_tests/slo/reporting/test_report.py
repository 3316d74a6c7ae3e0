"""What ``slo report`` says of stored figures: a missing or an old one is not good news."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops_platform import files
from ops_platform.agent.metrics import slo as slo_metrics
from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import openslo
from ops_platform.slo.reporting import figures, slo_store
from ops_platform.slo.reporting.figures import Hour
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two objectives, the second over two weeks."""
    text = (files.default_config_dir() / "objectives" / "api-availability.yaml").read_text(encoding="utf-8")
    (tmp_path / "first.yaml").write_text(text)
    (tmp_path / "second.yaml").write_text(
        text.replace("name: availability", "name: second").replace("30d", "14d")
    )
    return tmp_path


def keep(database: OpsDatabase, directory: Path, age: timedelta, names: tuple[str, ...]) -> None:
    """Figures whose hours are all known and good, up to ``age`` ago."""
    end = datetime.now(UTC).replace(microsecond=0) - age
    hours = [Hour(end - HOUR * number, 1000, 1000) for number in range(24 * 31, 0, -1)]
    with postgres.session(database.url("ops_worker")) as ops:
        for one in openslo.load_directory(directory):
            if one.name in names:
                found = figures.figures(one, hours, [end])
                # The month began at no multiple of hours before such a moment.
                figures.store(ops, one, [each for each in found if each.window != "month"], "run")
                month = figures.Figure("month", end, 3600, found[0].tally, None)
                figures.store(ops, one, [month], "run")


def report(database: OpsDatabase, directory: Path, *more: str) -> Result:
    return CliRunner().invoke(
        cli,
        ["slo", "report", "--objectives", str(directory), *more],
        env={"OPS_DATABASE_URL": database.url("ops_worker")},
    )


def rows(done: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


BOTH = ("availability", "second")


def test_current_figures_are_good_news(ops_database: OpsDatabase, directory: Path) -> None:
    keep(ops_database, directory, timedelta(hours=2, minutes=25), BOTH)
    done = report(ops_database, directory)
    assert done.exit_code == 0, done.output
    assert "14d" in done.output
    as_json = report(ops_database, directory, "--json")
    assert as_json.exit_code == 0
    assert [row["slo_window"] for row in rows(as_json) if row["metric_name"] == "second"] == [
        "1d", "7d", "30d", "month", "14d",
    ]  # fmt: skip
    assert {row["freshness"] for row in rows(as_json)} == {"current"}
    # The second promises more from now on: its figures say nothing of that.
    document = directory / "second.yaml"
    document.write_text(document.read_text().replace("target: 0.999", "target: 0.9999"))
    changed = report(ops_database, directory)
    assert changed.exit_code == 1
    assert "of a former version" in changed.output
    for row in rows(report(ops_database, directory, "--json")):
        former = row["metric_name"] == "second"
        assert (row["freshness"], row["verdict"]) == (
            ("former", "undecided")
            if former
            else ("current", None if row["slo_window"] == "month" else "met")
        )
        assert (row["error_budget_remaining"] is None) == former
    with postgres.session(ops_database.url("ops_worker")) as ops:
        states = slo_metrics.objectives(ops, openslo.load_directory(directory))
    [second] = [state for state in states if state.slo == "second"]
    assert {(figure.verdict, figure.state, figure.budget_remaining) for figure in second.figures} == {
        ("undecided", "source_missing", None)
    }


def test_an_objective_without_a_figure_is_not_passed_over(ops_database: OpsDatabase, directory: Path) -> None:
    keep(ops_database, directory, timedelta(0), ("availability",))
    done = report(ops_database, directory)
    assert done.exit_code == 1
    assert "no figure" in done.output
    as_json = report(ops_database, directory, "--json")
    assert as_json.exit_code == 1
    assert {row["metric_name"]: row["freshness"] for row in rows(as_json)} == {
        "availability": "current",
        "second": "missing",
    }


def test_old_figures_are_named_old(ops_database: OpsDatabase, directory: Path) -> None:
    keep(ops_database, directory, timedelta(hours=2, minutes=35), BOTH)
    done = report(ops_database, directory)
    assert done.exit_code == 1
    assert "ok, old" in done.output
    as_json = report(ops_database, directory, "--json")
    assert as_json.exit_code == 1
    assert {row["freshness"] for row in rows(as_json)} == {"old"}


def test_a_month_with_an_hour_that_is_not_known_is_two_numbers_and_a_verdict(
    ops_database: OpsDatabase, directory: Path
) -> None:
    keep(ops_database, directory, timedelta(0), BOTH)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
    at = end - 5 * HOUR
    unknown = Bounds(0, 2000, 0, 2000)
    hours = [Hour(end - HOUR * number, 1000, 1000) for number in range(24 * 31, 0, -1)]
    hours = [Hour(at, None, None, unknown) if hour.start == at else hour for hour in hours]
    lost = WindowCount(
        at, 3600, None, None, "nothing was scraped", "x", 240, 0, 0, None, None, unknown, unknown
    )
    [first] = [objective for objective in openslo.load_directory(directory) if objective.name == BOTH[0]]
    with postgres.session(ops_database.url("ops_worker")) as ops:
        slo_store.lock_writers(ops)
        slo_store.store(ops, first, [lost], "run", end)
        [loaded] = figures.load_hours(ops, first, at, at + HOUR)
        assert loaded == Hour(at, None, None, unknown)
        figures.store(ops, first, figures.figures(first, hours, [end]), "run")
    done = report(ops_database, directory)
    assert done.exit_code == 1
    assert "is not known, 0 to 2000 events bad: nothing was scraped" in done.output
    found = {row["slo_window"]: row for row in rows(report(ops_database, directory, "--json"))
             if row["metric_name"] == first.name}  # fmt: skip
    month = found["30d"]
    assert (month["verdict"], month["state"]) == ("undecided", "bounded")
    assert (month["windows_known"], month["windows_expected"]) == (719, 720)
    assert (month["violation_count_least"], month["violation_count_most"]) == (0, 2000)
    assert (month["actual_percentage"], month["breach_severity"]) == (None, "warning")
    assert [hour["bad_most"] for hour in month["worst_hours"]] == [2000]
    assert found["month"]["verdict"] in ("undecided", "met")
