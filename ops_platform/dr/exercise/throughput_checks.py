"""Compare an exercise's pace with that of earlier ones, and with what production's size wants."""

from __future__ import annotations

from collections.abc import Sequence

from ops_platform.backup.monitoring import freshness
from ops_platform.backup.stanza import BackupContext, Stanza
from ops_platform.clients import postgres
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise import rto_forecast as forecast
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.exercise.rto_forecast import Measured, Prediction
from ops_platform.dr.inspection import Check, Verification


def rungs(ctx: BackupContext, done: Rehearsal) -> Sequence[Check]:
    """The questions about throughput, which compare with earlier exercises and with production's size."""
    now = measured(done)

    def earlier() -> list[Measured]:
        with postgres.session(ctx.ops_url) as ops:
            return records.measured(ops, ctx.stanza.name)

    def throughput() -> Verification:
        known = earlier()
        return forecast.throughput(
            now, known, forecast.needed_rate(production(ctx, now, known, done), ctx.stanza)
        )

    return (
        ("throughput", throughput),
        ("predicted_rto", lambda: forecast.within_target(production(ctx, now, earlier(), done), ctx.stanza)),
    )


def measured(done: Rehearsal) -> Measured | None:
    """None unless copy and replay were measured and the cluster took traffic."""
    if done.copy is None or not done.replay_rate or done.replayed_bytes is None or done.rto_seconds is None:
        return None
    return Measured(
        done.copy.size_bytes, done.copy.rate, done.replayed_bytes, done.replay_rate, done.rto_seconds
    )


def production(
    ctx: BackupContext, now: Measured | None, earlier: Sequence[Measured], done: Rehearsal
) -> Prediction | None:
    """The declared production size, with the most WAL that can lie between two sets."""
    if done.plan is None:
        return None
    with postgres.session(ctx.ops_url) as ops:
        hourly = records.wal_per_hour(ops, ctx.stanza.name, done.plan.geometry.size)
    wal = max(int(hourly * hours_between_sets(ctx.stanza)), done.plan.wal_bytes)
    return forecast.predict(
        ctx.stanza.production_size_bytes, wal, [*(() if now is None else (now,)), *earlier]
    )


def hours_between_sets(stanza: Stanza) -> float:
    """The longest time between two sets that the schedules allow."""
    longest = freshness.limits(stanza).values()
    return min(longest, default=7 * 24 * 3600.0) / 3600
