"""Counts that were stored before rows said what they leave out and what has been made from them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.local.servers.postgres_roles import ensure_database
from ops_platform_tests.services import OpsDatabase, OpsDatabases

SQL_OPS = files.carried("sql") / "ops"


@pytest.fixture
def earlier(ops_databases: OpsDatabases, tmp_path: Path) -> Iterator[OpsDatabase]:
    """As it was before."""
    database = OpsDatabase(ops_databases.cluster, f"earlier_{time.monotonic_ns()}")
    with ops_databases.cluster.superuser() as superuser:
        ensure_database(superuser, database.name, "ops_owner", ("ops_worker",))
    for file in sorted(SQL_OPS.glob("*.sql")):
        if file.name < "0010":
            shutil.copy(file, tmp_path)
    migrate(database.url("ops_owner"), tmp_path)
    yield database
    ops_databases.drop(database)


@pytest.mark.services
def test_what_is_not_known_of_them_is_looked_at_once(earlier: OpsDatabase) -> None:
    with postgres.session(earlier.url("ops_owner")) as ops:
        ops.execute(
            """
            INSERT INTO slo_window_counts (service, slo, window_start, window_seconds, good, total)
            SELECT 'api', 'availability', current_date - make_interval(days => days), seconds, 1, 1
            FROM (VALUES (40, 3600), (2, 3600), (1, 3600), (2, 86400)) AS v (days, seconds)
            """
        )
        ops.execute(
            """
            INSERT INTO slo_exclusions (service, starts_at, ends_at, reason, created_by)
            VALUES ('api', current_date - 40, current_date - 39, 'maintenance', 'me')
            """
        )
    migrate(earlier.url("ops_owner"), SQL_OPS)
    with postgres.session(earlier.url("ops_worker")) as ops:
        rows = ops.execute(
            """
            SELECT window_seconds, derived, excluded::text AS excluded FROM slo_window_counts
            ORDER BY window_start, window_seconds
            """
        ).fetchall()
        touched = ops.execute("SELECT window_start FROM slo_excluded_hours").fetchall()
    assert [(row["window_seconds"], row["derived"], row["excluded"]) for row in rows] == [
        (3600, True, None),
        (3600, False, "{}"),
        (86400, True, "{}"),
        (3600, False, "{}"),
    ]
    assert len(touched) == 1
