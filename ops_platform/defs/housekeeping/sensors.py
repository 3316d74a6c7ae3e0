"""Sensors that keep whether each job fails. They record it; they change nothing else, and launch nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from ops_platform.backup.stanza import AT
from ops_platform.clients import postgres
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.housekeeping import run_cause
from ops_platform.defs.ownership import DUTY_TAG
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.stanza_jobs import STANZA_TAG
from ops_platform.housekeeping import job_outcomes
from ops_platform.housekeeping.job_outcomes import Work

WILL_RETRY_TAG = "dagster/will_retry"
"""Dagster's tag of a failed run that it is about to start again."""
SECONDS = 15


@dg.run_failure_sensor(
    name="run_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keep that a job fails, and why, until it succeeds: the alert RunFailed.",
    minimum_interval_seconds=SECONDS,
    # There is one of it, also where other hosts' code locations run jobs.
    monitor_all_code_locations=True,
)
@reported_failures()
def run_failures(context: dg.RunFailureSensorContext, platform: PlatformResource) -> None:
    """Record a failed run."""
    run = context.dagster_run
    with postgres.session(platform.settings().require("database_url")) as ops:
        job_outcomes.record_failure(
            ops,
            work_of(run),
            duty_of(run),
            run.run_id,
            _ended_at(context.instance, run.run_id),
            run_cause.cause(context.instance, run.run_id),
            retry_expected=run.tags.get(WILL_RETRY_TAG) == "true",
        )


@dg.run_status_sensor(
    name="run_successes",
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keep that a job succeeded: what failed before is over.",
    minimum_interval_seconds=SECONDS,
    monitor_all_code_locations=True,
)
@reported_failures()
def run_successes(context: dg.RunStatusSensorContext, platform: PlatformResource) -> None:
    """Record a run that succeeded."""
    run = context.dagster_run
    with postgres.session(platform.settings().require("database_url")) as ops:
        job_outcomes.record_success(ops, work_of(run), duty_of(run), _ended_at(context.instance, run.run_id))


def work_of(run: dg.DagsterRun) -> Work:
    """Tell what a run is for: the stanza of its tag, configuration or assets, or the request."""
    stanza = run.tags.get(STANZA_TAG) or run.run_config.get("stanza") or _stanza_of_assets(run)
    return Work(run.job_name, str(stanza), "" if stanza else str(run.run_config.get("request_id", "")))


def duty_of(run: dg.DagsterRun) -> str:
    """Return the duty of the run's job; the platform's own where it names none."""
    return run.tags.get(DUTY_TAG, "housekeeping")


def _stanza_of_assets(run: dg.DagsterRun) -> str:
    """Return the one stanza of the chosen exercises; empty when they are of several, or there are none."""
    stanzas = {AT.join(key.path[1:-1]) for key in run.asset_selection or () if key.path[0] == "dr"}
    return stanzas.pop() if len(stanzas) == 1 else ""


def _ended_at(instance: dg.DagsterInstance, run_id: str) -> datetime:
    record = instance.get_run_record_by_id(run_id)
    ended = record.end_time if record is not None else None
    return datetime.now(UTC) if ended is None else datetime.fromtimestamp(ended, UTC)
