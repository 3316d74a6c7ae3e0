"""The run launcher that hands runs to workers of Celery, over Redis with TLS.

Differs from Dagster's: a run that no worker would take waits in Dagster's queue, where it has no start
timeout and keeps no place; whether a worker lives is asked of its lock, since Celery's own state says STARTED
of a task whose worker is gone (dagster pull request 33493); no results are stored.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG
from kombu.exceptions import OperationalError

from ops_platform.defs.celery_engine.queues import OTHERS
from ops_platform.defs.launcher import GRACE_SECONDS, WorkerWatch

ANSWER_SECONDS = 2.0
"""Time that workers have to say to which queues they listen."""


class CeleryLauncher(CeleryRunLauncher):
    """Launches runs as tasks of Celery, in the queue that the run's tag names."""

    def __init__(
        self,
        broker: str,
        password_file: str | None = None,
        ca_file: str | None = None,
        grace_seconds: int = GRACE_SECONDS,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        """Connect to nothing. ``broker`` is a URL ``rediss://`` without a password."""
        super().__init__(
            default_queue=OTHERS,
            broker=_with_password(broker, password_file),
            backend="disabled://",
            config_source={
                "broker_use_ssl": _tls(ca_file) if urlsplit(broker).scheme == "rediss" else None,
                "broker_connection_retry_on_startup": True,
                "task_ignore_result": True,
                # A run is a process of its own, as with Dagster's default launcher.
                "worker_max_tasks_per_child": 1,
                "worker_prefetch_multiplier": 1,
                # A task that waits in a worker would wait on when that one dies: the others take it at once.
                "worker_disable_prefetch": True,
                "worker_hijack_root_logger": False,
            },
            inst_data=inst_data,
        )
        self._watch = WorkerWatch(grace_seconds)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Describe the launcher's ``config`` in ``dagster.yaml``."""
        return {
            "broker": dg.Field(
                dg.StringSource, description="rediss://[USER@]HOST:PORT/DB, without a password"
            ),
            "password_file": dg.Field(dg.Noneable(dg.StringSource), is_required=False),
            "ca_file": dg.Field(dg.Noneable(dg.StringSource), is_required=False),
            "grace_seconds": dg.Field(
                int, default_value=GRACE_SECONDS, description="How long a worker's lock may be free."
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Make the launcher from its ``config``."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand a run to Celery.

        Raises DagsterUserCodeUnreachableError, on which Dagster's queue keeps the run, when no worker listens
        to its queue or the broker is away.
        """
        queue = context.dagster_run.tags.get(DAGSTER_CELERY_QUEUE_TAG, OTHERS)
        try:
            if self.has_worker(queue):
                super().launch_run(context)
                return
            reason = f"no worker of Celery listens to the queue {queue}: start one on a host with that duty"
        except OperationalError:
            reason = "the broker of Celery does not answer: look at its log"
        raise DagsterUserCodeUnreachableError(reason)

    def has_worker(self, queue: str) -> bool:
        """Tell whether a worker says now that it listens to ``queue``. Raises OperationalError."""
        answers = self.celery.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
        return any(listened["name"] == queue for queues in answers.values() for listened in queues)

    @property
    def supports_resume_run(self) -> bool:
        """Whether a run goes on in another worker: it is retried instead, under an id of its own."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Answer Dagster's run monitoring by the lock of the run's worker."""
        return self._watch.health(self._instance.event_log_storage, run, time.monotonic())

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """Say where the run was sent."""
        queue, task = (run.tags.get(tag) for tag in (DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG))
        return f"task {task} in the queue {queue} of Celery"


def _with_password(broker: str, password_file: str | None) -> str:
    if password_file is None:
        return broker
    password = quote(Path(password_file).read_text(encoding="utf-8").strip(), safe="")
    parts = urlsplit(broker)
    user, at, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user if at else ''}:{password}@{place}"))


def _tls(ca_file: str | None) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        **({"ssl_ca_certs": ca_file} if ca_file else {}),
    }
