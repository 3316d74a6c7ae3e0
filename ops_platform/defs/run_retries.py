"""Retries of runs whose workers died: those that Dagster gave up, and the run that a chain began with.

Dagster retries such a run once (``run_retries`` in ``dagster.yaml``), but tries that at once, and never
again when the code server is away, as it is when both died together or an upgrade stopped them (dagster
issues 14605 and 20730).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    HIDDEN_TAG_PREFIX,
    MAX_RETRIES_TAG,
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    ROOT_RUN_ID_TAG,
    RUN_FAILURE_REASON_TAG,
    RUN_KEY_TAG,
    SENSOR_NAME_TAG,
    TAGS_TO_MAYBE_OMIT_ON_RETRY,
    WILL_RETRY_TAG,
)

WORKER_TAG = "ops/worker"
"""Host and process of a run's worker (``worker_lock``)."""
LOOK_BACK = timedelta(hours=24)
"""A code server that was away for longer finds the work of a later day to do."""
GIVEN_UP = "Failed to retry run"
"""The event by which Dagster says that it could not begin a retry."""
_OF_ONE_RUN = TAGS_TO_MAYBE_OMIT_ON_RETRY | {WORKER_TAG, RUN_KEY_TAG, SENSOR_NAME_TAG}


def root_run_id(run: Any) -> str:
    """Return the run that ``run`` is a retry of, or of whose retry, and so on; itself when it is none."""
    return str(run.root_run_id or run.tags.get(ROOT_RUN_ID_TAG) or run.run_id)


def lost_retries(jobs: Sequence[Any], seconds: int = 30) -> dg.SensorDefinition:
    """Make the sensor that asks for the retries of ``jobs`` that Dagster gave up, every so many seconds.

    It only reads.
    """
    names = {job.name for job in jobs}

    @dg.sensor(
        name="lost_retries",
        jobs=jobs,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Run again, once, what died with the code server or while it was away: Dagster gives "
        "such a retry up.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        requests = [
            _again(run)
            for run in _given_up(context.instance, datetime.now(UTC) - LOOK_BACK)
            if run.job_name in names and _location(run) == _own_location(context)
        ]
        yield from requests
        if not requests:
            yield dg.SkipReason("no retry was given up")

    return sensor


def _given_up(instance: dg.DagsterInstance, since: datetime) -> Iterator[dg.DagsterRun]:
    """Find the failed runs of which Dagster says that it could not retry them."""
    failed = instance.get_runs(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE], tags={WILL_RETRY_TAG: "false"}, updated_after=since
        )
    )
    for run in failed:
        step_failed = run.tags.get(RUN_FAILURE_REASON_TAG) == RunFailureReason.STEP_FAILURE.value
        if step_failed or AUTO_RETRY_RUN_ID_TAG in run.tags:
            continue
        said = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if any(entry.message == GIVEN_UP for entry in said):
            yield run


def _again(run: dg.DagsterRun) -> dg.RunRequest:
    """Ask for the same again; the run key makes it once."""
    kept = {
        key: value
        for key, value in run.tags.items()
        if key not in _OF_ONE_RUN and not key.startswith(HIDDEN_TAG_PREFIX)
    }
    return dg.RunRequest(
        run_key=run.run_id,
        job_name=run.job_name,
        run_config=run.run_config,
        asset_selection=list(run.asset_selection) if run.asset_selection else None,
        asset_check_keys=list(run.asset_check_selection) if run.asset_check_selection else None,
        tags={
            **kept,
            ROOT_RUN_ID_TAG: root_run_id(run),
            PARENT_RUN_ID_TAG: run.run_id,
            RETRY_NUMBER_TAG: "1",
            # Dagster counts the retries of a chain that it made itself.
            MAX_RETRIES_TAG: "0",
        },
    )


def _location(run: dg.DagsterRun) -> str | None:
    origin = run.remote_job_origin
    return None if origin is None else origin.repository_origin.code_location_origin.location_name


def _own_location(context: dg.SensorEvaluationContext) -> str | None:
    origin = context.code_location_origin
    return None if origin is None else origin.location_name
