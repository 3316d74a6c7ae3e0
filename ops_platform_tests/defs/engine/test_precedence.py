"""What Dagster's queue begins when more runs wait than may run, by the platform's dagster.yaml and tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from ops_platform import files
from ops_platform.defs import run_priority
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

QUEUED, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED
PLACES = 10
NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEAR = run_priority.of_request(NOW + timedelta(hours=1), NOW)


@pytest.fixture
def instance(
    ops_database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    url = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    monkeypatch.setenv("OPS_DAGSTER_STORAGE_URL", url)
    document = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))
    kept = {name: document[name] for name in ("storage", "run_coordinator", "concurrency")}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(kept), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def add(
    instance: dg.DagsterInstance,
    job: str,
    tags: Mapping[str, str],
    count: int = 1,
    status: dg.DagsterRunStatus = QUEUED,
) -> None:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ops_platform"), "__repository__")
    for _ in range(count):
        instance.add_run(
            dg.DagsterRun(
                job_name=job,
                run_id=make_new_run_id(),
                status=status,
                tags=tags,
                remote_job_origin=RemoteJobOrigin(repository, job),
            )
        )


def next_ones(instance: dg.DagsterInstance) -> list[str]:
    """The jobs of the runs that the queue would begin now, in order."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.job_name for run in runs]


def test_twenty_exports_keep_no_full_waiting(instance: dg.DagsterInstance) -> None:
    add(instance, "gdpr_export", run_priority.EXPORT, 20)
    add(instance, "backup_full", run_priority.BACKUP)
    assert next_ones(instance) == ["backup_full", *["gdpr_export"] * 4]


def test_the_one_free_place_is_for_what_is_urgent(instance: dg.DagsterInstance) -> None:
    add(instance, "gdpr_export", run_priority.EXPORT, 4, STARTED)
    add(instance, "gdpr_erasure", run_priority.ERASURE, PLACES - 5, STARTED)
    add(instance, "gdpr_export", run_priority.EXPORT, 16)
    add(instance, "backup_verify", run_priority.WHEN_IDLE)
    add(instance, "wal_checks", {})
    add(instance, "gdpr_erasure", run_priority.ERASURE)
    add(instance, "backup_full", run_priority.BACKUP)
    assert next_ones(instance) == ["backup_full"]
    # A request whose deadline is near waits behind no backup, and behind no other export.
    add(instance, "gdpr_export_near", {**run_priority.EXPORT, **NEAR})
    assert next_ones(instance) == ["gdpr_export_near"]


def test_all_places_taken_begin_nothing(instance: dg.DagsterInstance) -> None:
    add(instance, "gdpr_erasure", run_priority.ERASURE, PLACES, STARTED)
    add(instance, "backup_full", run_priority.BACKUP)
    assert next_ones(instance) == []
