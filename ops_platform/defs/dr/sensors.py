"""The janitor: finds what killed exercises left. It only reads; the job that it launches removes it."""

import hashlib

import dagster as dg

from ops_platform.clients import postgres
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.exercise import exercise_store
from ops_platform.dr.restore import scratch_cluster

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
        dead = exercise_store.abandoned(ops)
    if not left and not waiting and not dead:
        return dg.SkipReason("nothing is left over")
    tag = hashlib.sha256("\n".join([*left, *waiting, *dead]).encode()).hexdigest()[:16]
    # A run key works once: after a failed cleanup the next attempt needs another.
    return dg.RunRequest(run_key=f"{tag}:{_finished(context.instance, tag)}", tags={LEFTOVERS_TAG: tag})


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
