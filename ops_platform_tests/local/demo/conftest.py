"""Product databases with the demo's schema, in one cluster per worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform.local.servers.postgres_cluster import PostgresCluster
    from ops_platform_tests.local.demo.databases import DemoDatabase, DemoDatabases


@pytest.fixture(scope="session")
def demo_databases(cluster_factory: Callable[..., PostgresCluster]) -> DemoDatabases:
    from ops_platform_tests.local.demo.databases import DemoDatabases

    return DemoDatabases(cluster_factory("demo", archive=False))


@pytest.fixture
def demo_database(demo_databases: DemoDatabases) -> DemoDatabase:
    return demo_databases.create()
