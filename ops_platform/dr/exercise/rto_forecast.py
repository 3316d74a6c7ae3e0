"""The forecast of a restore's time, from measurements of exercises to another size. Pure.

A restore's time is a fixed part (starting programs, many small files, listing the repository) and
two parts that grow: copying with the cluster's size, replaying with the WAL since the set. The
rates are those of the bulk alone, so that a small exercise predicts a large cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ops_platform.backup.stanza import Stanza
from ops_platform.dr.inspection import Verification, unknown, verdict

WARN_SHARE = 0.8
"""Share of the target RTO above which a forecast is a warning."""
SLOWER = 3.0
"""A copy at less than a third of the usual rate is a failure; other load on the machine is not."""


@dataclass(frozen=True)
class Measured:
    """The measurements of one exercise: bytes, bytes per second of the bulk, and seconds of the whole."""

    copy_bytes: int
    copy_rate: float
    replay_bytes: int
    replay_rate: float
    rto_seconds: float

    @property
    def fixed_seconds(self) -> float:
        """The seconds left after copying and replaying at their rates; never negative."""
        bulk = self.copy_bytes / self.copy_rate + self.replay_bytes / self.replay_rate
        return max(0.0, self.rto_seconds - bulk)


@dataclass(frozen=True)
class Prediction:
    """The predicted seconds until the first transaction, and their parts."""

    copy_seconds: float
    replay_seconds: float
    fixed_seconds: float
    size_bytes: int
    wal_bytes: int

    @property
    def seconds(self) -> float:
        """The sum of the parts."""
        return self.copy_seconds + self.replay_seconds + self.fixed_seconds


def predict(size_bytes: int, wal_bytes: int, measured: Sequence[Measured]) -> Prediction | None:
    """Predict a restore of another size from the medians of what was measured.

    None when nothing was measured.
    """
    if not measured:
        return None
    return Prediction(
        copy_seconds=size_bytes / median(exercise.copy_rate for exercise in measured),
        replay_seconds=wal_bytes / median(exercise.replay_rate for exercise in measured),
        fixed_seconds=median(exercise.fixed_seconds for exercise in measured),
        size_bytes=size_bytes,
        wal_bytes=wal_bytes,
    )


def advice(prediction: Prediction, stanza: Stanza) -> str:
    """Say what would make the largest part shorter."""
    if prediction.replay_seconds >= prediction.copy_seconds:
        return "take differential or incremental backups more often, so that less WAL is replayed"
    return (
        f"raise process_max above {stanza.process_max} on a host with more cores, choose a codec that "
        "decompresses faster ('make bench'), or move old data out of the cluster"
    )


def within_target(prediction: Prediction | None, stanza: Stanza) -> Verification:
    """Check that the declared production size would be back in time.

    Above WARN_SHARE of the target it says what to change.
    """
    name, target = "predicted_rto", float(stanza.rto_target_seconds)
    if prediction is None:
        return unknown(name, "no exercise has measured a throughput yet")
    share = prediction.seconds / target
    said = (
        f"{prediction.size_bytes / 1e9:.1f} GB and {prediction.wal_bytes / 1e9:.2f} GB of WAL would take "
        f"{prediction.seconds:.0f} s, {share:.0%} of the promised {target:.0f} s"
    )
    if share > WARN_SHARE:
        said += f"; {advice(prediction, stanza)}"
    return verdict(
        name,
        share <= 1.0,
        said,
        predicted_seconds=round(prediction.seconds, 1),
        copy_seconds=round(prediction.copy_seconds, 1),
        replay_seconds=round(prediction.replay_seconds, 1),
        fixed_seconds=round(prediction.fixed_seconds, 1),
        share_of_target=round(share, 3),
    )


def throughput(now: Measured | None, earlier: Sequence[Measured], needed: float | None) -> Verification:
    """Check the copy's rate against the median of the last good exercises.

    ``needed``: bytes per second that the target asks for; None: unknown, or out of reach.
    """
    name = "throughput"
    if now is None:
        return unknown(name, "nothing was copied")
    numbers: dict[str, int | float | str] = {
        "copy_mb_per_second": round(now.copy_rate / 1e6, 1),
        "replay_mb_per_second": round(now.replay_rate / 1e6, 1),
    }
    if needed is not None:
        numbers["needed_mb_per_second"] = round(needed / 1e6, 1)
    said = f"copied at {now.copy_rate / 1e6:.1f} MB/s, replayed at {now.replay_rate / 1e6:.1f} MB/s"
    if not earlier:
        return Verification(name, "pass", f"{said}; the first measurement", numbers)
    usual = median(exercise.copy_rate for exercise in earlier)
    numbers["usual_copy_mb_per_second"] = round(usual / 1e6, 1)
    good = now.copy_rate * SLOWER >= usual
    return Verification(
        name, "pass" if good else "fail", f"{said}; usual are {usual / 1e6:.1f} MB/s", numbers
    )


def needed_rate(prediction: Prediction | None, stanza: Stanza) -> float | None:
    """Return the bytes per second at which production's size would just be copied in time.

    None: unknown, or not at any rate.
    """
    if prediction is None:
        return None
    left = stanza.rto_target_seconds - prediction.replay_seconds - prediction.fixed_seconds
    return prediction.size_bytes / left if left > 0 else None
