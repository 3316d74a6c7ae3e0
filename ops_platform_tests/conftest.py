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

Every run of pytest imports this file, so it imports what it needs where it is needed
(test_start.py); so do the other conftest.py, whose classes live in modules beside them.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ops_platform_tests import halves, module_marks, turns

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from ops_platform.local.host.certificates import Certificates
    from ops_platform.local.servers.object_store_server import ObjectStoreServer
    from ops_platform.local.servers.postgres_cluster import PostgresCluster
    from ops_platform.settings import Settings
    from ops_platform_tests.running_stack import RunningStack
    from ops_platform_tests.services import OpsDatabase, OpsDatabases, Services

STACK = pytest.StashKey["RunningStack"]()
STACK_SECONDS = 900
GARBAGE = (20_000, 20, 20)
"""After how many new objects it is looked for: with Python's own numbers, that takes a tenth of the CPU."""
FAST = "not services"
"""How the expression of `make test-fast` begins."""


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    from ops_platform_tests.services import Services

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
    from ops_platform_tests.services import OpsDatabases

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
def shared_instance() -> Iterator[DagsterInstance]:
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def empty_instance(shared_instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> DagsterInstance:
    """An instance of Dagster for ticks that are only asked: without it, each makes and migrates one."""
    import dagster as dg

    monkeypatch.setattr(dg.DagsterInstance, "ephemeral", lambda: nullcontext(shared_instance))
    return shared_instance


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    from ops_platform_tests.running_stack import RunningStack

    running = request.session.stash[STACK] = RunningStack()
    try:
        running.up()
        yield running
    finally:
        running.close()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a module unread if ``-m`` drops all its tests and nobody names it, or of the other half."""
    if halves.is_others(collection_path):
        return True
    if (
        config.getoption("markexpr")
        and collection_path.name.startswith("test_")
        and collection_path not in {Path(argument.partition("::")[0]).resolve() for argument in config.args}
        and module_marks.is_dropped(collection_path.read_text(encoding="utf-8"), config.getoption("markexpr"))
    ):
        return True
    return None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Load the profile of the property tests before the module that has some is imported."""
    if "hypothesis" in module_path.read_text(encoding="utf-8"):
        from ops_platform_tests import hypothesis_profile

        hypothesis_profile.load(fast=_is_fast(parent.config))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: Any, items: list[pytest.Item]) -> None:
    if "hypothesis" in sys.modules and hasattr(config, "workerinput") and not _is_fast(config):
        from ops_platform_tests import worker_shares

        worker_shares.find_constants(config)
    for item in items:
        # A full test needs services too, and must not slip into `-m "not services"`.
        if item.get_closest_marker("full") and not item.get_closest_marker("services"):
            item.add_marker(pytest.mark.services)
        # Dagster's storage takes a second to load.
        if "shared_instance" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.processes)
        # Its first test starts the stack, which takes minutes where other stacks start beside it.
        if _is_on_the_stack(item) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(STACK_SECONDS))
        # A module's tests share its fixtures, so they go to one worker; a test may say otherwise.
        # All tests of the one running stack are a group: it is started once.
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(
                pytest.mark.xdist_group("stack" if _is_on_the_stack(item) else turns.module(item.nodeid))
            )
    items.sort(key=_turn)


def _is_fast(config: pytest.Config) -> bool:
    return str(config.getoption("markexpr")).startswith(FAST)


def _turn(item: pytest.Item) -> tuple[int, int]:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    return turns.turn(item.nodeid, marker.args[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """End the stack behind its last test: it would take a third of a core from all that come after."""
    yield
    running = item.session.stash.get(STACK, None)
    if running is not None and not _is_on_the_stack(nextitem):
        running.close()
        del item.session.stash[STACK]


def _is_on_the_stack(item: pytest.Item | None) -> bool:
    return "stack" in getattr(item, "fixturenames", ())


def pytest_collection(session: pytest.Session) -> None:
    """Look for no garbage while modules are imported, and later not among them: they stay."""
    gc.disable()
    config, root = session.config, Path(__file__).parent
    if hasattr(config, "workerinput") and {Path(argument).resolve() for argument in config.args} == {root}:
        from ops_platform_tests import worker_shares

        read = [path for path in sorted(root.rglob("test_*.py")) if not pytest_ignore_collect(path, config)]
        worker_shares.import_modules(read, config, fast=_is_fast(config))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Require groups: without one in its name, pytest-xdist sends tests that share fixtures to any worker."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    gc.enable()
    if getattr(session.config.option, "loadgroup", False):
        stray = [item.nodeid for item in session.items if "@" not in item.nodeid]
        if stray:
            raise pytest.UsageError(f"{stray[0]} has no group: is this the lock file's pytest?")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let go of what takes long to say nothing.

    Hypothesis' plugin imports all of hypothesis; and pytest collects garbage, among all modules.
    """
    gc.freeze()
    plugins = session.config.pluginmanager
    if (
        "hypothesis" not in sys.modules
        and not session.testsfailed
        and not session.config.getoption("--hypothesis-show-statistics", default=False)
        and (plugin := plugins.get_plugin("hypothesispytest"))
    ):
        plugins.unregister(plugin)
