"""What the end-to-end tests ask of a running stack: its sets, its reports, its processes."""

from __future__ import annotations

from typing import Any

import psutil
import psycopg

from ops_platform.backup.repository.backup_sets import BackupSet, Repository
from ops_platform.backup.stanza.context import open_context
from ops_platform.clients.postgres import connection as postgres
from ops_platform_tests.running_stack import RunningStack


def sets(stack: RunningStack, stanza: str = "product") -> list[BackupSet]:
    """The sets in the repository, as pgBackRest itself lists them."""
    context = open_context(stack.settings, stanza)
    return list(Repository.parse(stanza, context.pgbackrest.info()).sets)


def ops_rows(stack: RunningStack, query: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows of the ops database, as an operator may read them."""
    with postgres.session(stack.settings.require("database_url")) as connection:
        return connection.execute(query, parameters).fetchall()


def reports(stack: RunningStack, run_id: str) -> list[dict[str, Any]]:
    return ops_rows(stack, "SELECT * FROM backup_reports WHERE run_id = %s", run_id)


def fill(stack: RunningStack, megabytes: int) -> None:
    """Incompressible rows, so that a backup takes long enough to be interrupted."""
    url = stack.settings.require("product_owner_database_url")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS ops_platform.ballast (n int, bytes bytea)")
        connection.execute("ALTER TABLE ops_platform.ballast ALTER bytes SET STORAGE EXTERNAL")
        connection.execute(
            "INSERT INTO ops_platform.ballast SELECT n,"
            " (SELECT string_agg(sha512((n::text || ':' || m)::bytea), '') FROM generate_series(1, 8192) m)"
            " FROM generate_series(1, %s) n",
            (megabytes * 2,),
        )


def copying(stack: RunningStack) -> list[psutil.Process]:
    """PgBackRest processes of this stack that take a backup (its archiver's do not count)."""
    config = str(open_context(stack.settings, "product").pgbackrest.config_file)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        ours = any("pgbackrest" in part for part in line[:1]) and any(config in part for part in line)
        if ours and {"backup", "backup:local"} & set(line):
            found.append(process)
    return found
