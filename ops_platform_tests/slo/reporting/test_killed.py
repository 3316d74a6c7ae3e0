"""A run killed anywhere in a backfill of old hours: launched again, or not, the next hourly run comes to the
same tables as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.settings import load_settings
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.reporting import daily_rollup as days
from ops_platform.slo.reporting import refresh as keeping
from ops_platform_tests.services import OpsDatabase, OpsDatabases
from ops_platform_tests.slo.recorded import prometheus_with, publishing
from ops_platform_tests.slo.worker import DONE
from ops_platform_tests.worker_process import Worker, wait_for, worker_process

pytestmark = pytest.mark.services

HOURS = 72
START = (datetime.now(UTC) - timedelta(hours=HOURS + 2)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS
DAY = (START + HOUR * 23).replace(hour=0)
"""The first whole one."""
MOMENTS = (
    "counted 0.3",
    "counted 0.7",
    "counted 1.0",
    "what follows",
    "half the ledger",
    "the ledger",
    "half the figures",
)
UNFINISHED = MOMENTS[:2]
IN_ANY_RUN = ("counted 0.7", "half the ledger")
TABLES = {
    "counts": "SELECT service, slo, window_start, good, total, adjusted_good, adjusted_total, state, reason, "
    "fingerprint, indicator, scrapes_seen, resets, revision FROM slo_window_counts "
    "WHERE window_seconds = 3600 ORDER BY 1, 2, 3",
    # They were added up before the hours were there; how often since is no matter.
    "days": "SELECT service, slo, window_start, good, total, adjusted_good, adjusted_total, state, reason, "
    "fingerprint FROM slo_window_counts WHERE window_seconds = 86400 ORDER BY 1, 2, 3",
    "revisions": "SELECT service, slo, window_start, revision FROM slo_window_revisions "
    "WHERE window_seconds = 3600",
    # Entries are the same, in whatever order they were made.
    "ledger": "SELECT service, slo, version, window_start, total, debit, reason FROM slo_budget_ledger "
    "ORDER BY 1, 2, 3, 4",
    "figures": "SELECT service_name, metric_name, slo_window, measured_at, state, sample_count, "
    "success_count, error_budget_remaining, burn_rate, breach_severity, version FROM slo_metrics "
    "ORDER BY 1, 2, 3, 4",
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(publishing(START, END), tmp_path_factory.mktemp("killed")) as client:
        yield client


def worker(
    database: OpsDatabase, prometheus: Prometheus, state_dir: Path, *more: str
) -> AbstractContextManager[Worker]:
    settings = load_settings(
        {"OPS_DATABASE_URL": database.url("ops_worker"), "OPS_STATE_DIR": str(state_dir)}
    )
    arguments = (START.isoformat(), END.isoformat(), prometheus.url, *more)
    return worker_process("ops_platform_tests.slo.worker", settings, *arguments)


def prepare(database: OpsDatabase) -> None:
    """Days that were added up before their hours were counted."""
    known = openslo.load_directory(files.default_config_dir() / "objectives")
    ours = [one for one in known if one.name in ("success", "signatures")]
    keeping.store_days(database.url("ops_worker"), ours, DAY, DAY + days.DAY * 2, "before")


def tables(database: OpsDatabase) -> dict[str, list[dict[str, Any]]]:
    with postgres.session(database.url("ops_worker")) as ops:
        return {name: ops.execute(query).fetchall() for name, query in TABLES.items()}


@pytest.fixture(scope="module")
def undisturbed(
    ops_databases: OpsDatabases, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    database = ops_databases.create()
    prepare(database)
    with worker(database, prometheus, tmp_path_factory.mktemp("state")) as process:
        wait_for(process, DONE)
    yield tables(database)
    ops_databases.drop(database)


@pytest.mark.parametrize("finisher", [(), ("next",)], ids=["its replay", "the next hourly run"])
@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=() if moment in IN_ANY_RUN else pytest.mark.full) for moment in MOMENTS],
)
def test_killed_and_finished_by(
    ops_database: OpsDatabase,
    prometheus: Prometheus,
    undisturbed: dict[str, list[dict[str, Any]]],
    tmp_path: Path,
    moment: str,
    finisher: tuple[str, ...],
) -> None:
    prepare(ops_database)
    with worker(ops_database, prometheus, tmp_path) as process:
        wait_for(process, moment)
        process.kill()

    def alone() -> bool:
        # Its transaction ends when PostgreSQL sees that nobody is there any more.
        with postgres.session(ops_database.url("ops_worker")) as ops:
            [row] = ops.execute(
                "SELECT count(*) AS others FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
            ).fetchall()
        return bool(row["others"] == 0)

    wait_until(alone, 20, "the killed worker's session ends")
    if moment in UNFINISHED:
        # Of what follows it may have made all before the signal came.
        assert tables(ops_database) != undisturbed
    with worker(ops_database, prometheus, tmp_path, *finisher) as process:
        wait_for(process, DONE)
    assert tables(ops_database) == undisturbed
    assert len(undisturbed["counts"]) == 2 * HOURS
    assert [row["state"] for row in undisturbed["days"]] == ["measured"] * 4
    assert len(undisturbed["figures"]) == 2 * HOURS * 4
