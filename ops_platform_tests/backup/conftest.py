"""A backed-up cluster with its ops database, made once a worker; tests add sets to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from ops_platform.backup.context import BackupContext, open_context
from ops_platform.backup.records import BackupRequest
from ops_platform.backup.stanza import Kind
from ops_platform.local.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.services import OpsDatabase, OpsDatabases


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
def site(make_site: Callable[..., Site]) -> Iterator[Site]:
    yield make_site()
