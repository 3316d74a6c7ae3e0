"""The jobs of disaster recovery. What they do is in ``exercise.runner``, ``questions`` and ``scratch``."""

from datetime import UTC, datetime

import dagster as dg

from ops_platform.defs.dr.assets import exercise_request, metadata
from ops_platform.defs.failures import told
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.exercise import exercise_store
from ops_platform.dr.plan import RESTORE_CHECK
from ops_platform.dr.restore import scratch_cluster

# An op imports the work that it does: the definitions load in less time.


class StanzaOpConfig(dg.Config):
    stanza: str


@dg.op(description="Restore the newest set beside production and verify it, without the deep questions.")
def check_restore(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    from ops_platform.dr.exercise import runner

    with told():
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
    from ops_platform.dr.verification import suite

    with told():
        taken = suite.refresh(platform.backup(config.stanza))
    return dg.Output(
        None,
        metadata={
            "objects": len(taken.objects),
            "tables": len(taken.live),
            "closed_rows": sum(one.rows for one in taken.closed.values()),
            "marker": dg.MetadataValue.timestamp(taken.marker),
        },
    )


@dg.op(description="Remove what killed exercises left, and finish their rows as failed.")
def sweep_scratch(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    from ops_platform.dr.emergency import pending_records

    with told():
        settings = platform.settings()
        removed = scratch_cluster.sweep(settings)
        url = settings.require("database_url")
        dead = [one for name in platform.stanzas() for one in exercise_store.reconcile_dead(url, name)]
        emergencies = pending_records.record_pending(settings)
    return dg.Output(
        None,
        metadata={
            "removed": [one.directory.name for one in removed],
            "given_up": dead,
            "emergencies_recorded": len(emergencies),
        },
    )


@dg.op(description="Erase again whoever was erased, after a restore of the product or of the ops database.")
def replay_tombstones(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    from ops_platform.dr.verification import erasure_replay

    with told():
        replayed = erasure_replay.replay_live(platform.settings(), context.log.info)
    known, done = replayed.memory, replayed.rows
    return dg.Output(
        None,
        metadata={
            "tombstones": done.tombstones,
            "came_back": done.came_back,
            "rows_changed": sum(one.changed for one in done.effects),
            "adopted_from_ledger": known.adopted,
            "certificates_from_ledger": known.certificates,
            "requests_scrubbed": known.scrubbed,
            "erasures_to_finish": known.unfinished,
            "left_to_their_runs": replayed.under_way,
        },
    )


@dg.op(description="Delete tombstones of erased subjects whom no backup holds any more.")
def expire_tombstones(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    from ops_platform.dr.verification import erasure_replay

    with told():
        expired = erasure_replay.expire(platform.backup(config.stanza), datetime.now(UTC))
    return dg.Output(None, metadata={"expired": expired})


@dg.job(
    executor_def=dg.in_process_executor,
    tags={"duty": "gdpr"},
    description="After a restore: bring the ops database up to the ledger, erase again whoever came back.",
)
def tombstone_replay() -> None:
    replay_tombstones()


@dg.job(
    name="scratch_cluster_cleanup",
    executor_def=dg.in_process_executor,
    tags={"duty": "dr"},
    description="Remove what killed exercises left on this host. Launched by the janitor.",
)
def scratch_cluster_cleanup() -> None:
    sweep_scratch()
