"""What is stored: exact, the same again, corrected where it must be, and nothing of it lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import dagster as dg
import httpx
import psycopg
import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import CheckFailed
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Objective
from ops_platform.slo.reporting import completeness as presence
from ops_platform.slo.reporting import daily_rollup as days
from ops_platform.slo.reporting import refresh as keeping
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.recorded import prometheus_with, publishing
from ops_platform_tests.slo.stored import late_hours

pytestmark = pytest.mark.services

HOURS = 50
START = (datetime.now(UTC) - timedelta(hours=HOURS + 2)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS
DAY = (START + HOUR * 23).replace(hour=0)
"""The first whole one."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(publishing(START, END), tmp_path_factory.mktemp("kept")) as client:
        yield client


@pytest.fixture(scope="module")
def objectives() -> list[Objective]:
    found = openslo.load_directory(files.default_config_dir() / "objectives")
    return [one for one in found if one.name in ("success", "signatures")]


def count(
    database: OpsDatabase,
    prometheus: Prometheus,
    objectives: list[Objective],
    start: datetime = START,
    end: datetime = END,
    now: datetime | None = None,
) -> int:
    url = database.url("ops_worker")
    return keeping.count_hours(
        url, prometheus, objectives, start, end, "run", now or datetime.now(UTC)
    ).changed


def rows(database: OpsDatabase, query: str, *values: object) -> list[dict[str, Any]]:
    with postgres.session(database.url("ops_worker")) as ops:
        return ops.execute(query, values).fetchall()


def table(database: OpsDatabase) -> list[dict[str, Any]]:
    return rows(
        database,
        "SELECT service, slo, window_start, window_seconds, good, total, adjusted_good, adjusted_total, "
        "state, reason, fingerprint, indicator, scrapes_seen, resets, settled "
        "FROM slo_window_counts ORDER BY 1, 2, 3, 4",
    )


def test_again_changes_nothing_and_a_killed_run_is_made_up_for(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective], ops_databases: Any
) -> None:
    assert count(ops_database, prometheus, objectives) == 2 * HOURS
    whole = table(ops_database)
    assert all(row["total"] for row in whole)
    assert count(ops_database, prometheus, objectives) == 0
    assert table(ops_database) == whole
    assert rows(ops_database, "SELECT FROM slo_window_revisions") == []
    other = ops_databases.create()
    try:
        # Killed after its first day; launched again.
        count(other, prometheus, objectives, START, START + HOUR * 24)
        count(other, prometheus, objectives)
        assert table(other) == whole
    finally:
        ops_databases.drop(other)


def test_provisional_hours_are_settled_later(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    soon = END + timedelta(minutes=12)
    count(ops_database, prometheus, objectives, END - HOUR * 3, END, soon)
    settled = {row["window_start"]: row["settled"] for row in table(ops_database)}
    assert settled == {END - HOUR * 3: True, END - HOUR * 2: False, END - HOUR: False}
    url = ops_database.url("ops_worker")
    assert late_hours(url, objectives, END) == [(END - HOUR * 2, END)]
    assert count(ops_database, prometheus, objectives, END - HOUR * 3, END, soon + HOUR * 2) == 0
    assert late_hours(url, objectives, END) == []


def test_an_exclusion_recounts_its_hours_and_no_other(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    url, [signatures] = (
        ops_database.url("ops_worker"),
        [one for one in objectives if one.name == "signatures"],
    )
    count(ops_database, prometheus, objectives)
    before = hours_of(ops_database)
    since, until = DAY + timedelta(hours=4, minutes=30), DAY + timedelta(hours=6)
    with postgres.session(url) as ops:
        days.store(ops, signatures, DAY, DAY + days.DAY, "run")
        excluded = exclusions.add(ops, Exclusion(signatures.service, None, since, until), "maintenance", "me")
    touched = [DAY + HOUR * 4, DAY + HOUR * 5]
    span = (touched[0], touched[-1] + HOUR)
    assert late_hours(url, objectives, END) == [span]
    assert count(ops_database, prometheus, objectives, *span) == 2
    assert late_hours(url, objectives, END) == []

    after = hours_of(ops_database)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [(row["slo"], row["window_start"]) for row in changed] == [
        ("signatures", hour) for hour in touched
    ]
    first, second = changed
    assert 0 < first["adjusted_total"] < first["total"]
    assert (second["adjusted_good"], second["adjusted_total"]) == (0, 0)
    kept = rows(
        ops_database,
        "SELECT window_start, revision, adjusted_total, total FROM slo_window_revisions "
        "WHERE window_seconds = 3600",
    )
    assert sorted((row["window_start"], row["revision"]) for row in kept) == [(hour, 1) for hour in touched]
    assert all(row["adjusted_total"] == row["total"] for row in kept)

    assert corrections(ops_database) == 2
    check_figures(ops_database, signatures)
    assert keeping.enter_ledger(url, objectives, START, END, "again") == 0
    found = keeping.store_figures(url, objectives, touched[0], touched[-1] + HOUR, "again")
    # Of the excluded hours themselves, and of every later one whose windows hold them.
    assert {figure.measured_at for figure in found[signatures]} == {
        touched[0] + HOUR * number for number in range(1, (END - touched[0]) // HOUR + 1)
    }
    check_figures(ops_database, signatures)
    day = "SELECT adjusted_total FROM slo_window_counts WHERE window_seconds = 86400"
    summed = (
        "SELECT sum(adjusted_total) AS adjusted_total FROM slo_window_counts WHERE slo = 'signatures' "
        "AND window_seconds = 3600 AND window_start >= %s AND window_start < %s"
    )
    assert rows(ops_database, day) == rows(ops_database, summed, DAY, DAY + days.DAY)

    # Withdrawn, all is as it was, and what was reported meanwhile is kept.
    with postgres.session(url) as ops:
        exclusions.withdraw(ops, excluded, "me")
        with pytest.raises(CheckFailed, match="no exclusion"):
            exclusions.withdraw(ops, excluded, "me")
    assert late_hours(url, objectives, END) == [span]
    assert count(ops_database, prometheus, objectives, *span) == 2
    assert hours_of(ops_database) == before
    assert corrections(ops_database) == 4
    assert late_hours(url, objectives, END) == []


def corrections(database: OpsDatabase) -> int:
    return len(rows(database, "SELECT FROM slo_budget_ledger WHERE reason = 'corrected'"))


def hours_of(database: OpsDatabase) -> list[dict[str, Any]]:
    return [row for row in table(database) if row["window_seconds"] == 3600]


def test_hours_that_no_run_counted_are_made_up_for(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    url = ops_database.url("ops_worker")
    assert late_hours(url, objectives, END) == []
    count(ops_database, prometheus, objectives, START, START + HOUR * 3)
    count(ops_database, prometheus, objectives, START + HOUR * 8, START + HOUR * 9)
    assert late_hours(url, objectives, START + HOUR * 12) == [
        (START + HOUR * 3, START + HOUR * 8),
        (START + HOUR * 9, START + HOUR * 12),
    ]


def test_another_target_is_replayed_over_history_beside_the_old_one(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    url, [success] = (
        ops_database.url("ops_worker"),
        [one for one in objectives if one.name == "success"],
    )
    count(ops_database, prometheus, [success])
    [old] = rows(ops_database, "SELECT * FROM slo_metrics WHERE slo_window = '1d' AND measured_at = %s", END)
    stricter = replace(success, target=Fraction(999, 1000))
    # What is counted is the same, so nothing is counted again; the same figures mean something else.
    assert count(ops_database, prometheus, [stricter]) == 0
    assert keeping.enter_ledger(url, [stricter], START, END, "replay") == HOURS
    keeping.store_figures(url, [stricter], START, END, "replay")
    [new] = rows(ops_database, "SELECT * FROM slo_metrics WHERE slo_window = '1d' AND measured_at = %s", END)
    assert (new["sample_count"], new["success_count"]) == (old["sample_count"], old["success_count"])
    assert new["error_budget_remaining"] < old["error_budget_remaining"]
    assert new["version"] == stricter.version != old["version"]
    kept = rows(ops_database, "SELECT version, sum(debit) AS debit FROM slo_budget_ledger GROUP BY version")
    assert {row["version"]: row["debit"] for row in kept} == dict.fromkeys(
        (success.version, stricter.version), kept[0]["debit"]
    )
    known = rows(ops_database, "SELECT version, target FROM slo_objectives WHERE slo = 'success'")
    assert {row["version"] for row in known} == {success.version, stricter.version}


def check_figures(database: OpsDatabase, objective: Objective) -> None:
    """The stored day's figure is the sum of its stored hours."""
    [figure] = rows(
        database,
        "SELECT * FROM slo_metrics WHERE service_name = %s AND slo_window = '1d' AND measured_at = %s",
        objective.service,
        END,
    )
    [total] = rows(
        database,
        "SELECT sum(adjusted_good) AS good, sum(adjusted_total) AS total FROM slo_window_counts "
        "WHERE service = %s AND window_start >= %s AND window_seconds = 3600",
        objective.service,
        END - HOUR * 24,
    )
    assert (figure["success_count"], figure["sample_count"]) == (total["good"], total["total"])


def test_figures_and_ledger(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    url = ops_database.url("ops_worker")
    count(ops_database, prometheus, objectives)
    assert len(rows(ops_database, "SELECT FROM slo_budget_ledger")) == 2 * HOURS
    assert keeping.enter_ledger(url, objectives, START, END, "run") == 0
    made = (
        "SELECT metric_name, slo_window, measured_at, state, sample_count FROM slo_metrics ORDER BY 1, 2, 3"
    )
    before = rows(ops_database, made)
    keeping.store_figures(url, objectives, START, END, "run")
    assert rows(ops_database, made) == before
    for one in objectives:
        check_figures(ops_database, one)
        [ledger] = rows(
            ops_database,
            "SELECT sum(total) AS total, sum(debit) AS debit FROM slo_budget_ledger WHERE slo = %s",
            one.name,
        )
        [hours] = rows(
            ops_database,
            "SELECT sum(total) AS total, sum(total - good) AS bad FROM slo_window_counts WHERE slo = %s",
            one.name,
        )
        assert (ledger["total"], ledger["debit"]) == (hours["total"], hours["bad"])
    figures = {
        (row["metric_name"], row["slo_window"]): row
        for row in rows(ops_database, "SELECT * FROM slo_metrics WHERE measured_at = %s", END)
    }
    day = figures["success", "1d"]
    assert day["actual_percentage"] < 100
    assert day["state"] == "ok"
    assert figures["success", "30d"]["state"] == "source_missing"
    assert figures["success", "30d"]["actual_percentage"] is None
    # Of 100 % there is no budget, and any bad event is critical.
    all_good = figures["signatures", "1d"]
    assert (all_good["error_budget_remaining"], all_good["burn_rate"]) == (None, None)
    assert all_good["breach_severity"] == "critical"
    early = rows(ops_database, "SELECT * FROM slo_metrics WHERE measured_at = %s", START + HOUR)
    assert {row["state"] for row in early if row["slo_window"] == "1d"} == {"source_missing"}


def test_the_ledger_is_only_ever_added_to(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    count(ops_database, prometheus, objectives, START, START + HOUR)
    keeping.enter_ledger(ops_database.url("ops_worker"), objectives, START, START + HOUR, "run")
    with ops_database.superuser() as superuser:
        for statement in (
            "UPDATE slo_budget_ledger SET debit = 0",
            "DELETE FROM slo_budget_ledger",
            "TRUNCATE slo_budget_ledger",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                superuser.execute(statement)


def test_days_are_their_hours(
    ops_database: OpsDatabase, prometheus: Prometheus, objectives: list[Objective]
) -> None:
    count(ops_database, prometheus, objectives)
    day = DAY
    with postgres.session(ops_database.url("ops_worker")) as ops:
        for one in objectives:
            days.store(ops, one, day, day + timedelta(days=1), "run")
            days.store(ops, one, day - timedelta(days=3), day - timedelta(days=2), "run")
    found = [row for row in table(ops_database) if row["window_seconds"] == 86400]
    assert {row["state"] for row in found if row["window_start"] == day} == {"measured"}
    assert {row["reason"] for row in found if row["window_start"] < day} == {
        "24 of its 24 hours are not known"
    }


def test_a_backfill_in_one_dagster_run(
    ops_database: OpsDatabase,
    prometheus: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    from ops_platform.definitions import build_defs
    from ops_platform.defs.slo.assets import HOURLY
    from ops_platform.settings import load_settings

    environment = {
        "OPS_STATE_DIR": str(tmp_path),
        "OPS_DATABASE_URL": ops_database.url("ops_worker"),
        "OPS_PROMETHEUS_URL": prometheus.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    job = build_defs(load_settings()).resolve_job_def("slo_windows")
    keys = [(START + HOUR * number).strftime(HOURLY.fmt) for number in (0, HOURS - 1)]
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(tags=tags, instance=instance)
        assert done.success
        made = instance.get_materialized_partitions(dg.AssetKey(["slo", "hourly_counts"]))
        assert len(made) == HOURS
        [event] = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(["slo", "hourly_counts"]), asset_partitions=[keys[1]]), limit=1
        ).records
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["publishing-success: events"].value
        assert len(str(metadata["publishing-success: good %"].value)) <= len("99.999")
        [event] = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(["slo", "error_budget"]), asset_partitions=[keys[1]]), limit=1
        ).records
        assert event.asset_materialization is not None
        shown = event.asset_materialization.metadata
        assert shown["publishing-success: verdict"].value == "undecided"
        # What is asked first stands first, and in a backfill once.
        assert list(shown)[1:5] == ["budgets", "worst_hours", "links", "left_out"]
        assert "publishing-success | 30d | undecided |" in str(shown["budgets"].value)
        assert "/graph?g0.expr=product_publishing_attempts_total" in str(shown["links"].value)
        link = httpx.URL(str(metadata["publishing-success: samples"].value))
        assert link.params["g0.expr"] == "product_publishing_attempts_total"
        assert httpx.get(link, follow_redirects=True).status_code == 200
        checks = {one.check_name: one for one in done.get_asset_check_evaluations()}
        # The other objectives have no source here: never green.
        assert not checks["source_complete"].passed
        assert not checks["budget_within_bounds"].passed
        assert not checks["buckets_on_all_instances"].passed
        # The newest full hour or the one before.
        assert checks["newest_window_present"].passed == (presence.newest_due(datetime.now(UTC)) < END)
        assert "reconciled_with_rules" not in checks
        # The newest figure is two to three hours old, and current until two and a half.
        judged = checks["objective_publishing_success"]
        assert "hours known" in judged.metadata or "too old" in str(judged.description)
        assert not any(one.passed for name, one in checks.items() if name.startswith("objective_"))
    assert len([row for row in table(ops_database) if row["total"]]) == 2 * HOURS
