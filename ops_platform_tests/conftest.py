"""Fixtures over real services, started on free ports the first time a test asks for them.

certificates      the worker's certificate authority (`.ca_file`, `.server(name, account)`)
object_store      SeaweedFS over TLS with all identities and buckets (`.client(role)`, `.bucket(role)`)
cluster_factory   `cluster_factory("product", archive=True) -> PostgresCluster`, roles and database made;
                  its `.name` (the stanza) gets a number when the name is taken
ops_database      a migrated ops database of the test's own (`.url(role)`, `.superuser()`)
ops_databases     `.create()` and `.drop(database)`, for fixtures of a wider scope
settings_for      `settings_for(cluster, database=..., stanza={...}, environ={...}) -> Settings`
services          all of it: kill and restart of S3 included
stack             a whole embedded stack, up, with both first full backups; shared by all tests that
                  ask for it, which therefore run on one worker: leave it up (`.run("status")`,
                  `.settings`, `.dagster` for GraphQL, `.kill_everything()`, `.up()`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

from ops_platform.local.host.certificates import Certificates
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests import turns
from ops_platform_tests.running_stack import RunningStack
from ops_platform_tests.services import OpsDatabase, OpsDatabases, Services

# A busy machine is not a failure: no example of a property is timed.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    running = Services.start()
    yield running
    running.close()


@pytest.fixture(scope="session")
def certificates(services: Services) -> Certificates:
    return services.certificates


@pytest.fixture(scope="session")
def object_store(services: Services) -> ObjectStoreServer:
    return services.object_store()


@pytest.fixture(scope="session")
def cluster_factory(services: Services) -> Callable[..., PostgresCluster]:
    return services.cluster


@pytest.fixture(scope="session")
def ops_databases(services: Services) -> OpsDatabases:
    return OpsDatabases(services.cluster("ops", archive=False, roles="ops"))


@pytest.fixture
def ops_database(ops_databases: OpsDatabases) -> Iterator[OpsDatabase]:
    database = ops_databases.create()
    yield database
    ops_databases.drop(database)


@pytest.fixture(scope="session")
def settings_for(services: Services) -> Callable[..., Settings]:
    return services.settings_for


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    running = RunningStack()
    try:
        running.up()
        yield running
    finally:
        running.close()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: Any, items: list[pytest.Item]) -> None:
    for item in items:
        # A full test needs services too, and must not slip into `-m "not services"`.
        if item.get_closest_marker("full") and not item.get_closest_marker("services"):
            item.add_marker(pytest.mark.services)
        # A module's tests share its fixtures, so they go to one worker; a test may say otherwise.
        # All tests of the one running stack are a group: it is started once.
        if not item.get_closest_marker("xdist_group"):
            on_the_stack = "stack" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("stack" if on_the_stack else turns.module(item.nodeid)))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int]:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    return turns.turn(item.nodeid, marker.args[0])


def pytest_collection_finish(session: pytest.Session) -> None:
    """A group is part of a test's name, or pytest-xdist sends tests that share fixtures to any worker."""
    if getattr(session.config.option, "loadgroup", False):
        stray = [item.nodeid for item in session.items if "@" not in item.nodeid]
        if stray:
            raise pytest.UsageError(f"{stray[0]} has no group: is this the lock file's pytest?")
