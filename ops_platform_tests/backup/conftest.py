"""A backed-up cluster with its ops database, made once a worker; tests add sets to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform.local.host.programs import PostgresPrograms
    from ops_platform.local.servers.object_store_server import ObjectStoreServer
    from ops_platform.local.servers.postgres_cluster import PostgresCluster
    from ops_platform.settings import Settings
    from ops_platform_tests.backup.site import Done, Site
    from ops_platform_tests.services import OpsDatabases


@pytest.fixture(scope="session")
def make_site(
    cluster_factory: Callable[..., PostgresCluster],
    ops_databases: OpsDatabases,
    settings_for: Callable[..., Settings],
) -> Callable[..., Site]:
    from ops_platform.backup.stanza.context import open_context
    from ops_platform_tests.backup.site import Site

    def make(version: PostgresPrograms | None = None, **options: object) -> Site:
        cluster = cluster_factory("product", version=version)
        database = ops_databases.create()
        settings = settings_for(cluster, database=database, **options)
        return Site(cluster, database, settings, open_context(settings, cluster.name))

    return make


@pytest.fixture(scope="session")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture(scope="session")
def first_backup(site: Site) -> Done:
    """The first backup of a stanza, asked for as an incremental."""
    from ops_platform_tests.backup.site import take

    return take(site, "incremental")


@pytest.fixture(scope="session")
def backed_up(site: Site, first_backup: Done) -> Site:
    """A site with a full."""
    return site


@pytest.fixture(scope="module")
def second_backup(backed_up: Site) -> Done:
    from ops_platform_tests.backup.site import take

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
