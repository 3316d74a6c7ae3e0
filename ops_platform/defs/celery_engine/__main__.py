"""``python -m ops_platform.defs.celery_engine [SLOTS]``: a worker of Celery for the duties of this host."""

from __future__ import annotations

import logging
import os
import socket
import sys

import dagster as dg
from dagster_celery.tasks import create_execute_job_task
from kombu.entity import Queue

from ops_platform.backup.stanza import load_living_here
from ops_platform.clients import safe_errors
from ops_platform.defs.celery_engine.celery_launcher import CeleryLauncher
from ops_platform.defs.celery_engine.queues import queues_of
from ops_platform.errors import ConfigurationError, OpsError
from ops_platform.settings import load_settings

SLOTS = 4
"""Runs that a worker has at a time, unless it is told another number; ``dagster.yaml`` has the same."""


def main() -> int:
    """Work until SIGTERM, then end the runs that go on; return the exit code, 2 for a wrong configuration."""
    safe_errors.guard(logging.INFO)
    try:
        settings = load_settings()
        queues = queues_of(settings.host, load_living_here(settings).clusters)
        slots = _slots(sys.argv[1:])
        with dg.DagsterInstance.get() as instance:
            launcher = instance.run_launcher
            if not isinstance(launcher, CeleryLauncher):
                raise ConfigurationError(
                    "dagster.yaml has another run launcher: copy deploy/celery/dagster.yaml to DAGSTER_HOME"
                )
            app = launcher.celery
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    app.conf.task_queues = [Queue(name) for name in queues]  # type: ignore[no-untyped-call]
    create_execute_job_task(app)
    app.worker_main(
        [
            *("worker", "--loglevel=INFO", "--without-gossip", "--without-mingle"),
            *(f"--concurrency={slots}", f"--hostname=ops-{os.getpid()}@{socket.gethostname()}"),
        ]
    )
    return 0


def _slots(arguments: list[str]) -> int:
    if not arguments:
        return SLOTS
    if len(arguments) > 1 or not arguments[0].isdecimal() or not int(arguments[0]):
        raise ConfigurationError("the one argument is the number of runs at a time, 1 or more")
    return int(arguments[0])


if __name__ == "__main__":
    sys.exit(main())
