"""The run launcher of ``dagster.yaml``: Dagster's own, which can also tell that a run's worker is gone.

Dagster's default launcher answers no question about workers: a code server reports its own dead ones, but
when it died with them, a run stays STARTED until its maximum runtime and keeps its place in the queue.
It also fails a run for good that a code server refuses because it is being stopped; this one lets it wait.
What becomes of such a run is Dagster's own: its run monitoring fails it, and ``run_retries`` begin it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._serdes import ConfigurableClassData

from ops_platform.defs.worker_lock import LockedEventLog, worker_of

GRACE_SECONDS = 30
"""A worker takes its lock again within seconds after a restart of the database."""


class WorkerWatch:
    """The answers to "does this run's worker live?", for one process that asks again and again."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._missing_since: dict[str, float] = {}

    def health(self, log: object, run: dg.DagsterRun, now: float) -> CheckRunHealthResult:
        """Say that the worker is gone when its lock was free at looks ``grace_seconds`` apart.

        ``now`` is monotonic, in seconds. A worker of which nothing is known counts as alive: it may be one of
        an older version, and its run has a maximum runtime.
        """
        worker = worker_of(run)
        if worker is None or not isinstance(log, LockedEventLog):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "nothing is known of its worker")
        if log.has_live_worker(run.run_id):
            self._missing_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)
        missing = now - self._missing_since.setdefault(run.run_id, now)
        if missing < self._grace_seconds:
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, "its worker's lock is free", run_worker_id=worker
            )
        del self._missing_since[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND,
            f"the worker {worker} is gone: its lock has been free for {missing:.0f} s",
            run_worker_id=worker,
        )


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, whose runs wait for a code server and whose workers are watched."""

    def __init__(
        self, inst_data: ConfigurableClassData | None = None, grace_seconds: int = GRACE_SECONDS
    ) -> None:
        super().__init__(inst_data)
        self._watch = WorkerWatch(grace_seconds)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Describe the launcher's ``config`` in ``dagster.yaml``."""
        return {
            "grace_seconds": dg.Field(
                int, default_value=GRACE_SECONDS, description="How long a worker's lock may be free."
            )
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Make the launcher from its ``config``."""
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run.

        Raises DagsterUserCodeUnreachableError, on which the queue keeps the run, when its code server is away
        or on its way out.
        """
        try:
            super().launch_run(context)
            return
        except DagsterLaunchFailedError as refused:
            # A server that is being stopped is the only one that refuses without an error.
            if refused.serializable_error_info is not None:
                raise
        raise DagsterUserCodeUnreachableError("the code server is being stopped")

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether ``check_run_worker_health`` knows: with our storage, it does."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Answer Dagster's run monitoring, which fails a run whose worker is not there."""
        return self._watch.health(self._instance.event_log_storage, run, time.monotonic())
