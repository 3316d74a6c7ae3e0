"""What ``slo report`` says of stored figures: a missing or an old one is not good news."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops_platform import files
from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.reporting import figures
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
