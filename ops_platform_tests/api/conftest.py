"""A product database with people, a Redis, and the API over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform.local.servers.postgres_cluster import PostgresCluster
    from ops_platform_tests.api.house import House
    from ops_platform_tests.clients.running_redis import RunningRedis
    from ops_platform_tests.services import OpsDatabase, Services


@pytest.fixture(scope="session")
def redis_server(services: Services) -> Iterator[RunningRedis]:
    from ops_platform_tests.clients.running_redis import running_redis

    with running_redis(services) as running:
        yield running


@pytest.fixture(scope="session")
def people(cluster_factory: Callable[..., PostgresCluster]) -> PostgresCluster:
    cluster = cluster_factory("product", archive=False)
    with cluster.superuser("product") as superuser:
        superuser.execute("CREATE TABLE people (id uuid PRIMARY KEY, email text)")
        superuser.execute("GRANT SELECT (id, email) ON people TO ops_api")
        superuser.execute("GRANT USAGE ON SCHEMA public TO ops_api")
    return cluster


@pytest.fixture
def api(
    ops_database: OpsDatabase, people: PostgresCluster, redis_server: RunningRedis, tmp_path: Path
) -> Iterator[House]:
    from ops_platform_tests.api.house import house

    with house(ops_database, people, redis_server, tmp_path) as made:
        yield made
