"""Dagster's queue of runs, where each run is given its queue of Celery when it is asked for, whoever asks."""

from __future__ import annotations

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG

from ops_platform.defs.celery_engine.queues import queue_of


class RoutedRunCoordinator(QueuedRunCoordinator):
    """Dagster's own, whose runs have the tag ``dagster-celery/queue`` while they wait: limits count by it."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Put a run into the queue."""
        run = context.dagster_run
        self._instance.add_run_tags(run.run_id, {DAGSTER_CELERY_QUEUE_TAG: queue_of(run)})
        return super().submit_run(context)
