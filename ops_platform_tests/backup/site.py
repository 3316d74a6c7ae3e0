"""One stanza with everything around it, and how a test takes a backup of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.stanza.context import BackupContext
from ops_platform.backup.stanza.model import Kind
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.report import BackupReport, BackupRequest
from ops_platform.clients.postgres import connection as postgres
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.services import OpsDatabase

RETRY_SECONDS = {"PGBACKREST_JOB_RETRY_INTERVAL": "1"}
"""pgBackRest tries a damaged file three times, with 15 s before the third."""


def hasty(ctx: BackupContext) -> BackupContext:
    """The same, for tests that damage what pgBackRest reads: as many tries, a second apart."""
    environment = {**(ctx.pgbackrest.environment or {}), **RETRY_SECONDS}
    return replace(ctx, pgbackrest=replace(ctx.pgbackrest, environment=environment))


def silent(_: object) -> None:
    """Hears lines and progress, and does nothing."""


@dataclass(frozen=True)
class Site:
    """One stanza with everything around it."""

    cluster: PostgresCluster
    database: OpsDatabase
    settings: Settings
    context: BackupContext

    @property
    def name(self) -> str:
        return self.context.stanza.name

    def request(self, kind: Kind, *, root: str | None = None) -> BackupRequest:
        run = str(uuid4())
        return BackupRequest(self.name, kind, run, root or run, "cli")

    def repository(self) -> Repository:
        return Repository.parse(self.name, self.context.pgbackrest.info())

    def labels(self) -> list[str]:
        return [one.label for one in self.repository().sets]

    def report(self, run_id: str) -> dict[str, Any]:
        """The row of a run."""
        with postgres.session(self.context.ops_url) as connection:
            rows = connection.execute("SELECT * FROM backup_reports WHERE run_id = %s", (run_id,)).fetchall()
        assert len(rows) == 1
        return rows[0]

    def audit(self, run_id: str) -> list[tuple[str, str | None]]:
        """Phase and outcome of a run's events in the ledger, in order."""
        with postgres.session(self.context.ops_url) as connection:
            rows = connection.execute(
                "SELECT phase, outcome FROM audit_events WHERE operation_id = %s ORDER BY id", (run_id,)
            ).fetchall()
        return [(row["phase"], row["outcome"]) for row in rows]


@dataclass(frozen=True)
class Done:
    """A backup that was taken, and what was heard of it."""

    request: BackupRequest
    report: BackupReport
    lines: list[str]
    fractions: list[float]


def take(site: Site, kind: Kind, *, root: str | None = None) -> Done:
    request = site.request(kind, root=root)
    lines: list[str] = []
    fractions: list[float] = []
    report = execution.run_backup(site.context, request, lines.append, fractions.append)
    return Done(request, report, lines, fractions)
