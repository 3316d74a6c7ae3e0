"""Checks of an exercise's throughput, against earlier exercises and the declared production size."""

from __future__ import annotations

from collections.abc import Sequence

from ops_platform.backup.monitoring import freshness
from ops_platform.backup.stanza import BackupContext, Stanza
from ops_platform.clients import postgres
from ops_platform.dr.exercise import exercise_store, rto_forecast
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.exercise.rto_forecast import Measured, Prediction
from ops_platform.dr.inspection import Check, Verification


def checks(ctx: BackupContext, rehearsal: Rehearsal) -> Sequence[Check]:
    """Return the checks of the throughput: copy rate against earlier exercises, and the forecast RTO."""
    now = _measured(rehearsal)

    def earlier() -> list[Measured]:
        with postgres.session(ctx.ops_url) as ops:
            return exercise_store.measured(ops, ctx.stanza.name)

    def throughput() -> Verification:
        measurements = earlier()
        prediction = _predict_production(ctx, now, measurements, rehearsal)
        return rto_forecast.throughput(now, measurements, rto_forecast.needed_rate(prediction, ctx.stanza))

    def predicted_rto() -> Verification:
        prediction = _predict_production(ctx, now, earlier(), rehearsal)
        return rto_forecast.within_target(prediction, ctx.stanza)

    return (("throughput", throughput), ("predicted_rto", predicted_rto))


def _measured(rehearsal: Rehearsal) -> Measured | None:
    """Return the exercise's measurements.

    None unless copy and replay were measured and the cluster could take traffic.
    """
    copy, rto, replayed = rehearsal.copy, rehearsal.rto_seconds, rehearsal.replayed_bytes
    if copy is None or not rehearsal.replay_rate or replayed is None or rto is None:
        return None
    return Measured(copy.size_bytes, copy.rate, replayed, rehearsal.replay_rate, rto)


def _predict_production(
    ctx: BackupContext, now: Measured | None, earlier: Sequence[Measured], rehearsal: Rehearsal
) -> Prediction | None:
    """Predict a restore of the declared production size, with the most WAL possible between two sets."""
    if rehearsal.plan is None:
        return None
    with postgres.session(ctx.ops_url) as ops:
        hourly = exercise_store.wal_per_hour(ops, ctx.stanza.name, rehearsal.plan.geometry.size)
    wal = max(int(hourly * _hours_between_sets(ctx.stanza)), rehearsal.plan.wal_bytes)
    return rto_forecast.predict(
        ctx.stanza.production_size_bytes, wal, [*(() if now is None else (now,)), *earlier]
    )


def _hours_between_sets(stanza: Stanza) -> float:
    """Return the longest time between two sets that the schedules allow, in hours."""
    limits = freshness.limits(stanza).values()
    return min(limits, default=7 * 24 * 3600.0) / 3600
