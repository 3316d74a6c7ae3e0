"""The jobs of disaster recovery; their work is in the packages of ``dr``."""

from datetime import UTC, datetime

import dagster as dg

from ops_platform.defs.dr.assets import exercise_request, metadata
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.exercise import exercise_store
from ops_platform.dr.plan import RESTORE_CHECK
from ops_platform.dr.restore import scratch_cluster

# An op imports the modules that do its work, so that the definitions load faster.


class StanzaOpConfig(dg.Config):
    """The config of an op that works on one stanza."""

    stanza: str


@dg.op(description="Restore the newest set beside production and verify it, without the deep questions.")
def check_restore(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Restore and verify the newest set; fails the run unless all checks pass."""
    from ops_platform.dr.exercise import runner

    with reported_failures():
        ctx = platform.backup(config.stanza)
        request = exercise_request(ctx, context.run, RESTORE_CHECK)
        outcome = runner.run(ctx, request, context.log.info, lambda fraction: None)
    if outcome.result != "success":
        raise dg.Failure(description=outcome.reason, metadata=metadata(outcome), allow_retries=False)
    return dg.Output(None, metadata=metadata(outcome))


@dg.op(description="Take a signed reference of the live source, for restored copies to be compared with.")
def take_reference(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Take and store a reference of the stanza's live source."""
    from ops_platform.dr.verification import suite

    with reported_failures():
        reference = suite.refresh(platform.backup(config.stanza))
    return dg.Output(
        None,
        metadata={
            "objects": len(reference.objects),
            "tables": len(reference.live),
            "closed_rows": sum(table.rows for table in reference.closed.values()),
            "marker": dg.MetadataValue.timestamp(reference.marker),
        },
    )


@dg.op(description="Remove what killed exercises left, and finish their rows as failed.")
def sweep_scratch(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    """Remove leftover scratch directories, and finish rows and records of runs that died."""
    from ops_platform.dr.emergency import pending_records

    with reported_failures():
        settings = platform.settings()
        removed = scratch_cluster.sweep(settings)
        url = settings.require("database_url")
        dead = [
            exercise_id
            for stanza in platform.stanzas()
            for exercise_id in exercise_store.reconcile_dead(url, stanza)
        ]
        emergencies = pending_records.record_pending(settings)
    return dg.Output(
        None,
        metadata={
            "removed": [leftover.directory.name for leftover in removed],
            "given_up": dead,
            "emergencies_recorded": len(emergencies),
        },
    )


@dg.op(description="Delete tombstones of erased subjects whom no backup holds any more.")
def expire_tombstones(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Delete the stanza's expired tombstones."""
    from ops_platform.dr.verification import erasure_replay

    with reported_failures():
        expired = erasure_replay.expire(platform.backup(config.stanza), datetime.now(UTC))
    return dg.Output(None, metadata={"expired": expired})


@dg.job(
    name="scratch_cluster_cleanup",
    executor_def=dg.in_process_executor,
    tags=duty_tag("dr"),
    owners=owners("dr"),
    description="Remove what killed exercises left on this host. Launched by the janitor.",
)
def scratch_cluster_cleanup() -> None:
    """Run ``sweep_scratch``."""
    sweep_scratch()
