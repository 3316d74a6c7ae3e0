"""A backed-up cluster with its ops database, made once a worker; tests add sets to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.backup.stanza.model import Kind
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.report import BackupReport, BackupRequest
from ops_platform.clients.postgres import connection as postgres
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.services import OpsDatabase, OpsDatabases

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
        return self.cluster.name

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


@pytest.fixture(scope="session")
def make_site(
    cluster_factory: Callable[..., PostgresCluster],
    ops_databases: OpsDatabases,
    settings_for: Callable[..., Settings],
) -> Callable[..., Site]:
    def make(**options: object) -> Site:
        cluster = cluster_factory("product")
        database = ops_databases.create()
        settings = settings_for(cluster, database=database, **options)
        return Site(cluster, database, settings, open_context(settings, cluster.name))

    return make


@pytest.fixture(scope="session")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


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


@pytest.fixture(scope="session")
def first_backup(site: Site) -> Done:
    """The first backup of a stanza, asked for as an incremental."""
    return take(site, "incremental")


@pytest.fixture(scope="session")
def backed_up(site: Site, first_backup: Done) -> Site:
    """A site with a full."""
    return site


@pytest.fixture(scope="module")
def second_backup(backed_up: Site) -> Done:
    return take(backed_up, "differential")


@pytest.fixture
def wal_object_removed(backed_up: Site, object_store: ObjectStoreServer) -> Iterator[str]:
    """The name of a WAL segment that the newest set needs and S3 has lost; it is put back afterwards."""
    repository = backed_up.repository()
    assert repository.current is not None
    name = repository.sets[-1].wal_start
    prefix = f"pgbackrest/archive/{backed_up.name}/{repository.current.archive_id}/{name[:16]}/{name}-"
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    # With the dash: a backup label of the same segment may lie beside it.
    (entry,) = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    client.delete_object(Bucket=bucket, Key=entry["Key"])
    yield name
    client.put_object(Bucket=bucket, Key=entry["Key"], Body=body)
