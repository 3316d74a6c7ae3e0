"""The janitor: looks for what killed exercises left. It only looks; the job that it launches removes."""

import hashlib

import dagster as dg

from ops_platform.clients import postgres
from ops_platform.defs.failures import told
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
@told()
def scratch_cluster_janitor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    # by the first tick: it imports all of an exercise
    from ops_platform.dr.emergency import pending_records

    settings = platform.settings()
    left = [str(one.directory) for one in scratch_cluster.leftovers(settings)]
    waiting = [str(path) for path in pending_records.pending(settings)]
    with postgres.session(settings.require("database_url")) as ops:
        dead = exercise_store.abandoned(ops)
    if not left and not waiting and not dead:
        return dg.SkipReason("nothing is left over")
    tag = hashlib.sha256("\n".join([*left, *waiting, *dead]).encode()).hexdigest()[:16]
    # A key is used once: one that failed is tried again as the next attempt.
    return dg.RunRequest(run_key=f"{tag}:{_finished(context.instance, tag)}", tags={LEFTOVERS_TAG: tag})


def _finished(instance: dg.DagsterInstance, tag: str) -> int:
    """How many cleanups of exactly this have ended."""
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
