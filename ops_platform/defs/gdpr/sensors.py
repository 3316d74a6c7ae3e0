"""The sensors that start runs for confirmed requests. They only read: a run claims its request."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_platform.clients import postgres
from ops_platform.defs import run_priority
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.gdpr.requests import Due, RequestType, work_queue

REQUEST_TAG = "ops/gdpr-request"
MOST = 20
"""Runs that one tick requests at most: a tick is cut off after a minute."""
CLAIM_WITHIN = timedelta(minutes=10)
"""Time after which a started run that has not claimed its request counts as dead."""
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def _request_sensor(name: str, request_type: RequestType) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        job_name=f"gdpr_{request_type}",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Start one run of gdpr_{request_type} for each confirmed request that nobody works on, "
        "the oldest deadline first.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, platform: PlatformResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = datetime.now(UTC)
        with (
            reported_failures(),
            postgres.session(platform.settings().require("database_url"), autocommit=True) as ops,
        ):
            due_requests = work_queue.due(ops, request_type, now)
        requested = 0
        for due in due_requests:
            attempt = _attempt(context.instance, due, now)
            if attempt is not None and requested < MOST:
                requested += 1
                yield dg.RunRequest(
                    run_key=f"{due.request_id}:{attempt}",
                    run_config={"request_id": due.request_id},
                    tags={REQUEST_TAG: due.request_id, **run_priority.of_request(due.due_at, now)},
                )
        if not requested:
            yield dg.SkipReason(
                f"{len(due_requests)} requests are due, and each has its run"
                if due_requests
                else "nothing is due"
            )

    return sensor


def _attempt(instance: dg.DagsterInstance, due: Due, now: datetime) -> int | None:
    """Return the next run's number, from 1, or None while a run is on its way. No run key is used twice."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=f"gdpr_{due.request_type}", tags={REQUEST_TAG: due.request_id})
    )
    over = [record for record in records if _is_over(record, due, now)]
    return None if len(over) < len(records) else 1 + len(over)


def _is_over(record: dg.RunRecord, due: Due, now: datetime) -> bool:
    """Tell whether a run is over, also one that Dagster believes alive: its claim is dead or never came."""
    run = record.dagster_run
    if run.status in _FINISHED or run.run_id == due.dead_run_id:
        return True
    started = record.start_time
    return started is not None and started < (now - CLAIM_WITHIN).timestamp()


gdpr_erasure_requests = _request_sensor("gdpr_erasure_requests", "erasure")
gdpr_export_requests = _request_sensor("gdpr_export_requests", "export")
