"""A backup on real workers of Celery, over Redis with TLS, one of which is killed in the middle of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.clients.waiting import wait_until
from ops_platform.defs.run_retries import WORKER_TAG
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.clients.running_redis import RunningRedis, running_redis
from ops_platform_tests.defs.engine.processes import PATIENCE_SECONDS, Engine
from ops_platform_tests.services import OpsDatabases, Services

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "celery" / "dagster.yaml"


@pytest.fixture
def redis(services: Services) -> Iterator[RunningRedis]:
    with running_redis(services) as running:
        yield running


@pytest.fixture
def stanza(
    cluster_factory: Callable[..., PostgresCluster],
    ops_databases: OpsDatabases,
    settings_for: Callable[..., Settings],
) -> BackupContext:
    cluster = cluster_factory("product")
    with cluster.superuser("product") as superuser:
        # Enough for a backup to be caught at work.
        superuser.execute(
            "CREATE TABLE bulk AS SELECT i, md5(i::text) || md5((-i)::text) AS t"
            " FROM generate_series(1, 1500000) AS i"
        )
    settings = settings_for(cluster, database=ops_databases.create())
    return open_context(settings, cluster.name)


@pytest.fixture
def engine(
    stanza: BackupContext,
    redis: RunningRedis,
    ops_databases: OpsDatabases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    variables = {name: value.get_secret_value() for name, value in stanza.settings.environ.items()}
    variables |= {
        "OPS_DUTIES": "backup",
        "OPS_CELERY_BROKER_URL": redis.server.url,
        "OPS_CELERY_PASSWORD_FILE": str(redis.server.password_file),
    }
    for name in (*variables, "OPS_DAGSTER_STORAGE_URL"):
        monkeypatch.setenv(name, "")
    running = Engine(tmp_path, ops_databases.create(), CONFIGURATION, "ops_platform.definitions", variables)
    try:
        yield running
    finally:
        running.close()


def at_work(stanza: BackupContext) -> psutil.Process | None:
    """The pgBackRest that takes a backup of the stanza now."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if f"--stanza={stanza.stanza.name}" in words and "backup" in words:
            return process
    return None


def made_by(stanza: BackupContext, run_id: str) -> list[str]:
    """The sets of a chain of runs."""
    sets = Repository.parse(stanza.stanza.name, stanza.pgbackrest.info()).sets
    return [one.label for one in sets if one.annotations["root_run_id"] == run_id]


def test_a_backup_whose_worker_is_killed_is_completed_by_another(
    engine: Engine, stanza: BackupContext
) -> None:
    engine.start_code_server()
    engine.start_daemon()
    name = stanza.stanza.name
    [run] = engine.launch("backup_full", stanza=name)
    # Its tag says where it waits, and nobody listens there.
    engine.wait_for_event(run, "re-submitting the run")
    queued = engine.instance.get_run_by_id(run)
    assert queued is not None
    assert queued.tags["dagster-celery/queue"] == f"backup.{name}"

    engine.start_worker("first", 1)
    wait_until(lambda: at_work(stanza), PATIENCE_SECONDS, "pgBackRest to work", interval=0.02)
    engine.start_worker("second", 1)
    engine.kill("first")
    engine.wait_for(run, dg.DagsterRunStatus.FAILURE)

    def ended() -> list[dg.DagsterRun]:
        found = engine.instance.get_runs(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run}))
        return [one for one in found if one.is_finished]

    [retry] = wait_until(ended, PATIENCE_SECONDS, "the retry to end")
    assert retry.status is dg.DagsterRunStatus.SUCCESS
    assert retry.tags[WORKER_TAG] != engine.instance.get_run_by_id(run).tags[WORKER_TAG]  # type: ignore[union-attr]
    assert len(made_by(stanza, run)) == 1
