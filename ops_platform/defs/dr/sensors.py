"""Sensors of disaster recovery. They only read; the jobs that they launch do the work.

The janitor finds what killed exercises left. The other one finds catalogues that changed since the newest
reference.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from ops_platform.clients import postgres, safe_errors
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.stanza_jobs import named_in_config
from ops_platform.dr.exercise import exercise_store
from ops_platform.dr.restore import scratch_cluster
from ops_platform.errors import Unavailable

LEFTOVERS_TAG = "ops/leftovers"


@dg.sensor(
    name="scratch_cluster_janitor",
    job_name="scratch_cluster_cleanup",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Launch a cleanup when a killed exercise left a scratch cluster or an unfinished row, "
        "or an emergency restore is unrecorded."
    ),
)
@reported_failures()
def scratch_cluster_janitor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a cleanup when something is left over."""
    # Imported by the first tick: it loads all of an exercise.
    from ops_platform.dr.emergency import pending_records

    settings = platform.settings()
    left = [str(leftover.directory) for leftover in scratch_cluster.leftovers(settings)]
    waiting = [str(path) for path in pending_records.pending(settings)]
    with postgres.session(settings.require("database_url")) as ops:
        dead = exercise_store.abandoned(ops, platform.stanzas())
    if not left and not waiting and not dead:
        return dg.SkipReason("nothing is left over")
    tag = hashlib.sha256("\n".join([*left, *waiting, *dead]).encode()).hexdigest()[:16]
    # A run key works once: after a failed cleanup the next attempt needs another.
    return dg.RunRequest(run_key=f"{tag}:{_finished(context.instance, tag)}", tags={LEFTOVERS_TAG: tag})


@dg.sensor(
    name="dr_catalogue_changes",
    job_name="dr_reference",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launch a reference of each stanza whose catalogue changed since the newest one.",
)
def dr_catalogue_changes(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for a reference of each stanza whose catalogue has changed."""
    from ops_platform.dr.reference import change_watch

    with reported_failures():
        changed, away = [], []
        for stanza in platform.clusters():
            try:
                key = change_watch.due(platform.backup(stanza), datetime.now(UTC))
            except Unavailable as error:
                # One server that is away must not keep the others from their references.
                away.append(safe_errors.describe(error))
                continue
            if key is not None:
                changed.append(named_in_config(stanza, f"{stanza}:{key}"))
    yield from changed
    if not changed:
        yield dg.SkipReason("; ".join(away) or "no catalogue has changed since its newest reference")


def _finished(instance: dg.DagsterInstance, tag: str) -> int:
    """Count the cleanups of exactly these leftovers that have ended."""
    return instance.get_runs_count(
        dg.RunsFilter(
            job_name="scratch_cluster_cleanup",
            tags={LEFTOVERS_TAG: tag},
            statuses=[
                dg.DagsterRunStatus.SUCCESS,
                dg.DagsterRunStatus.FAILURE,
                dg.DagsterRunStatus.CANCELED,
            ],
        )
    )
