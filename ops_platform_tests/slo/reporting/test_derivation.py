"""Ledger, figures and days follow the counts: whoever counted, whatever was killed, of every version."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Indicator, Objective
from ops_platform.slo.reporting import daily_rollup as days
from ops_platform.slo.reporting import refresh as keeping
from ops_platform.slo.reporting import slo_store as records
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.recorded import Recorded, prometheus_with, publishing
from ops_platform_tests.slo.stored import exclude, hours, rows

pytestmark = pytest.mark.services

HOURS = 50
START = (datetime.now(UTC) - timedelta(hours=HOURS + 3)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS
DAY = (START + HOUR * 23).replace(hour=0)
"""The first whole one."""
SUCCESS, SIGNATURES = (
    one
    for name in ("success", "signatures")
    for one in openslo.load_directory(files.default_config_dir() / "objectives")
    if one.name == name
)
STRICTER = replace(SUCCESS, target=Fraction(999, 1000))
OTHER = replace(SUCCESS, indicator=Indicator(SUCCESS.indicator.total, bad=SUCCESS.indicator.good))
"""It counts as bad what was good."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(publishing(START, END), tmp_path_factory.mktemp("derived")) as client:
        yield client


def count(
    database: OpsDatabase,
    prometheus: Prometheus,
    objective: Objective = SUCCESS,
    start: datetime = START,
    end: datetime = END,
) -> None:
    url = database.url("ops_worker")
    keeping.count_hours(url, prometheus, [objective], start, end, "run", datetime.now(UTC))


def next_run(
    database: OpsDatabase, prometheus: Prometheus, objective: Objective = SUCCESS, at: datetime = END
) -> keeping.Recount:
    return keeping.recount_late(
        database.url("ops_worker"), prometheus, [objective], at, "next", datetime.now(UTC)
    )


def ledger(database: OpsDatabase, objective: Objective) -> tuple[int, int]:
    """All and bad events of its version."""
    [row] = rows(
        database,
        "SELECT coalesce(sum(total), 0)::bigint AS total, coalesce(sum(debit), 0)::bigint AS bad "
        "FROM slo_budget_ledger WHERE version = %s",
        objective.version,
    )
    return row["total"], row["bad"]


def counted(database: OpsDatabase, start: datetime = START) -> tuple[int, int]:
    known = [row for row in hours(database) if row["window_start"] >= start]
    return (
        sum(row["adjusted_total"] for row in known),
        sum(row["adjusted_total"] - row["adjusted_good"] for row in known),
    )


def figures(database: OpsDatabase) -> dict[datetime, dict[str, Any]]:
    found = rows(database, "SELECT * FROM slo_metrics WHERE slo_window = '1d' ORDER BY measured_at")
    return {row["measured_at"]: row for row in found}


# --- killed, alone, together ------------------------------------------------------------------------


class Killed(Exception):
    pass


def kill(_: float) -> None:
    raise Killed


def test_counts_alone_leave_nothing_stale(ops_database: OpsDatabase, prometheus: Prometheus) -> None:
    count(ops_database, prometheus)
    assert ledger(ops_database, SUCCESS) == counted(ops_database)
    assert list(figures(ops_database)) == [START + HOUR * number for number in range(1, HOURS + 1)]


def test_the_next_hourly_run_finishes_a_killed_backfill_of_old_hours(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    """It was killed between counts and what follows; all its counts are final, and right."""
    url = ops_database.url("ops_worker")
    keeping.store_days(url, [SUCCESS], DAY, DAY + days.DAY, "before")
    with pytest.raises(Killed):
        keeping.count_hours(url, prometheus, [SUCCESS], DAY, DAY + days.DAY, "old", datetime.now(UTC), kill)
    assert all(row["settled"] for row in hours(ops_database))
    assert ledger(ops_database, SUCCESS) == (0, 0)
    # Nothing is counted again for it: Prometheus need not even be there.
    keeping.recount_late(
        url, Prometheus("http://127.0.0.1:9"), [SUCCESS], DAY + days.DAY, "next", datetime.now(UTC)
    )
    assert ledger(ops_database, SUCCESS) == counted(ops_database)
    assert list(figures(ops_database)) == [DAY + HOUR * number for number in range(1, 25)]
    [day] = rows(ops_database, "SELECT * FROM slo_window_counts WHERE window_seconds = 86400")
    assert day["total"] == counted(ops_database)[0]


def test_what_was_stored_before_a_failure_is_followed_up(ops_database: OpsDatabase, tmp_path: Path) -> None:
    with (
        prometheus_with(crowded(START + HOUR * 30), tmp_path, flags=FEW) as faulty,
        pytest.raises(Unavailable, match="too many samples"),
    ):
        count(ops_database, faulty)
    assert len(hours(ops_database)) == counting.TOGETHER
    assert ledger(ops_database, SUCCESS) == counted(ops_database)


FEW = ["--query.max-samples=300"]


def crowded(at: datetime) -> Recorded:
    """In the hour from ``at`` there are more series than Prometheus is willing to read."""
    times = np.arange(at.timestamp() + 900, at.timestamp() + 2700, 30.0).tolist()
    name = 'product_publishing_attempts_total{{result="{}",instance="a:1",job="product"}}'
    more = {name.format(f"other{number}"): [(time, 0.0) for time in times] for number in range(400)}
    return {**publishing(START, END), **more}


def test_a_late_hour_that_cannot_be_counted_stops_no_other(
    ops_database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three spans are missing; the second cannot be counted. The run's own hour is, and then it fails."""
    missing = [START + HOUR * number for number in (5, 10, 15)]
    with prometheus_with(crowded(missing[1]), tmp_path, flags=FEW) as faulty:
        for number in range(20):
            hour = START + HOUR * number
            if hour not in missing:
                count(ops_database, faulty, SUCCESS, hour, hour + HOUR)
        own = START + HOUR * 20
        done = materialize(ops_database, faulty, monkeypatch, tmp_path, own)
    there = {row["window_start"] for row in hours(ops_database) if row["slo"] == "success"}
    assert there == {START + HOUR * number for number in range(21)} - {missing[1]}
    assert own + HOUR in figures(ops_database)
    assert not done.success
    made = [one.partition for one in done.all_events if one.is_step_materialization]
    assert made == [own.strftime("%Y-%m-%d-%H:%M")]
    said = failure(done)
    assert f"{missing[1]:%Y-%m-%d %H:%M} to {missing[1] + HOUR:%Y-%m-%d %H:%M} UTC" in said
    assert "too many samples" in said
    assert "\n" not in said


def test_the_check_names_late_hours_too(
    ops_database: OpsDatabase, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = START - HOUR * 3
    count(ops_database, prometheus, SUCCESS, before - HOUR, before)
    done = materialize(ops_database, prometheus, monkeypatch, tmp_path, START)
    assert done.success
    checks = {one.check_name: one for one in done.get_asset_check_evaluations()}
    assert not checks["source_complete"].passed
    assert f"publishing-success, {before:%Y-%m-%d %H:%M} UTC" in (checks["source_complete"].description or "")
    assert checks["exclusions_applied"].passed


def test_a_database_that_fails_is_one_line(
    ops_database: OpsDatabase, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ops_database.superuser() as superuser:
        superuser.execute("REVOKE UPDATE ON slo_window_counts FROM ops_worker")
        superuser.commit()
    done = materialize(ops_database, prometheus, monkeypatch, tmp_path, START)
    assert not done.success
    assert failure(done) == (
        "PostgreSQL: InsufficientPrivilege (SQLSTATE 42501): permission denied for table slo_window_counts"
    )


def materialize(
    database: OpsDatabase,
    prometheus: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    hour: datetime,
) -> dg.ExecuteInProcessResult:
    from ops_platform.definitions import build_defs
    from ops_platform.defs.slo.assets import HOURLY
    from ops_platform.settings import load_settings

    config = directory / "config"
    shutil.copytree(files.default_config_dir(), config)
    for document in (config / "objectives").iterdir():
        if document.name != "publishing-success.yaml":
            document.unlink()
    monkeypatch.setenv("OPS_CONFIG_DIR", str(config))
    monkeypatch.setenv("OPS_STATE_DIR", str(directory / "state"))
    monkeypatch.setenv("OPS_DATABASE_URL", database.url("ops_worker"))
    monkeypatch.setenv("OPS_PROMETHEUS_URL", prometheus.url)
    job = build_defs(load_settings()).resolve_job_def("slo_windows")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            partition_key=hour.strftime(HOURLY.fmt), instance=instance, raise_on_error=False
        )


def failure(done: dg.ExecuteInProcessResult) -> str:
    [event] = [one for one in done.all_events if one.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said is not None
    return said.description or ""


def test_two_runs_that_count_an_hour_for_the_first_time_keep_both_counts(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    url, bounds, now = ops_database.url("ops_worker"), [START, START + HOUR], datetime.now(UTC)
    [found] = counting.count(prometheus, [SUCCESS], bounds, now)[SUCCESS]
    early = replace(found, good=1, total=2, adjusted_good=1, adjusted_total=2, fingerprint="early")
    second = threading.Thread(target=count, args=(ops_database, prometheus, SUCCESS, *bounds))

    def waits() -> bool:
        with postgres.session(url) as ops:
            [row] = ops.execute("SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted").fetchall()
        return bool(row["waiting"])

    with postgres.session(url) as first:
        records.lock_writers(first)
        records.store(first, SUCCESS, [early], "first", now)
        second.start()
        wait_until(waits, 30, "the second run waits for the first")
    second.join()
    [hour] = hours(ops_database)
    assert (hour["total"], hour["revision"]) == (found.total, 2)
    [kept] = rows(ops_database, "SELECT * FROM slo_window_revisions")
    assert (kept["total"], kept["revision"]) == (2, 1)


# --- versions ---------------------------------------------------------------------------------------


def test_an_exclusion_does_not_rewrite_history_with_todays_target(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    changed = END - HOUR * 5
    count(ops_database, prometheus, SUCCESS, START, changed)
    count(ops_database, prometheus, STRICTER, changed, END)
    before = figures(ops_database)
    exclude(ops_database, END - HOUR * 10 - timedelta(minutes=30), END - HOUR * 10, SUCCESS)
    next_run(ops_database, prometheus, STRICTER)
    after = figures(ops_database)
    assert {at: row["version"] for at, row in after.items()} == {
        at: row["version"] for at, row in before.items()
    }
    assert {after[at]["target_percentage"] for at in after if at <= changed} == {99}
    fewer = [at for at in after if after[at]["sample_count"] != before[at]["sample_count"]]
    assert fewer == [END - HOUR * 10 + HOUR * number for number in range(11)]
    # Each version's ledger says what the counts of its hours say.
    every, late = counted(ops_database), counted(ops_database, changed)
    assert ledger(ops_database, SUCCESS) == (every[0] - late[0], every[1] - late[1])
    # The operator may ask for history with today's target: of these hours, and no others.
    url = ops_database.url("ops_worker")
    keeping.store_figures(url, [STRICTER], changed - HOUR, changed, "asked")
    asked = figures(ops_database)
    assert [at for at in asked if asked[at]["version"] != after[at]["version"]] == [changed]
    keeping.store_figures(url, [STRICTER], changed - HOUR * 3, changed - HOUR * 2, "asked")
    assert figures(ops_database)[changed - HOUR]["version"] == SUCCESS.version


def test_a_late_change_corrects_the_ledger_of_every_version_that_has_the_hour(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    url = ops_database.url("ops_worker")
    count(ops_database, prometheus)
    keeping.enter_ledger(url, [STRICTER], START, END, "replay")
    before = counted(ops_database)
    exclude(ops_database, START, START + HOUR, SUCCESS)
    next_run(ops_database, prometheus, STRICTER)
    assert counted(ops_database) < before
    assert ledger(ops_database, SUCCESS) == ledger(ops_database, STRICTER) == counted(ops_database)


def test_a_ledger_is_debited_only_with_what_its_own_indicator_counted(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    url = ops_database.url("ops_worker")
    count(ops_database, prometheus)
    said, before = ledger(ops_database, SUCCESS), figures(ops_database)
    # Another indicator's objective, whose hours have not been counted yet.
    assert keeping.enter_ledger(url, [OTHER], START, END, "early") == 0
    count(ops_database, prometheus, OTHER)
    assert ledger(ops_database, OTHER) == counted(ops_database)
    assert ledger(ops_database, SUCCESS) == said
    # What was reported with the old indicator's counts, which are gone, stays.
    after = figures(ops_database)
    assert [row["success_count"] for row in after.values()] == [
        row["success_count"] for row in before.values()
    ]
    assert {row["version"] for row in after.values()} == {SUCCESS.version}
