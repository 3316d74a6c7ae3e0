"""The sensors that start the work on confirmed requests. They only read: a run claims its request."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_platform.clients import postgres
from ops_platform.defs.failures import told
from ops_platform.defs.resources import PlatformResource
from ops_platform.gdpr.requests import Due, RequestType, work_queue

REQUEST_TAG = "ops/gdpr-request"
MOST = 20
"""Runs that one tick asks for: a tick is cut off after a minute."""
CLAIM_WITHIN = timedelta(minutes=10)
"""A run that has started and not claimed its request after so long has died."""
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def request_sensor(name: str, request_type: RequestType) -> dg.SensorDefinition:
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
            told(),
            postgres.session(platform.settings().require("database_url"), autocommit=True) as ops,
        ):
            found = work_queue.due(ops, request_type, now)
        asked = 0
        for one in found:
            attempt = _attempt(context.instance, one, now)
            if attempt is not None and asked < MOST:
                asked += 1
                yield dg.RunRequest(
                    run_key=f"{one.request_id}:{attempt}",
                    run_config={"request_id": one.request_id},
                    tags={REQUEST_TAG: one.request_id},
                )
        if not asked:
            yield dg.SkipReason(
                f"{len(found)} requests are due, and each has its run" if found else "nothing is due"
            )

    return sensor


def _attempt(instance: dg.DagsterInstance, one: Due, now: datetime) -> int | None:
    """1 and the runs that are over; None while one is on its way. A run key is never used twice."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=f"gdpr_{one.request_type}", tags={REQUEST_TAG: one.request_id})
    )
    over = [record for record in records if _is_over(record, one, now)]
    return None if len(over) < len(records) else 1 + len(over)


def _is_over(record: dg.RunRecord, one: Due, now: datetime) -> bool:
    """Also of a run that Dagster still believes in: one whose claim is dead, or that never claimed."""
    run = record.dagster_run
    if run.status in _FINISHED or run.run_id == one.died:
        return True
    started = record.start_time
    return started is not None and started < (now - CLAIM_WITHIN).timestamp()


gdpr_erasure_requests = request_sensor("gdpr_erasure_requests", "erasure")
gdpr_export_requests = request_sensor("gdpr_export_requests", "export")
