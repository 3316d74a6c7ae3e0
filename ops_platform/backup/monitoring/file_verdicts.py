"""Verdicts on the stored files of the sets: they are there, and their bytes are read and right.

What is missing and what was read is found in ``backup.proof``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.backup.proof import Summary, read_store
from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres

NAMED_SETS = 5
LATEST_READING = timedelta(days=2)
"""After the time when a reading is due: the daily run that reads it may itself be a day late."""


def files_present(repository: Repository) -> Verdict:
    """Check that the sets have all the files that they reference, since the newest full that has."""
    damaged = [backup_set for backup_set in repository.sets if backup_set.damage is not None]
    numbers: dict[str, str | int | float] = {"sets": len(repository.sets), "damaged_sets": len(damaged)}
    if not damaged:
        return Verdict(
            "files_present", True, "every set has all its files, with their sizes", numbers=numbers
        )
    listed = "; ".join(f"{backup_set.label}: {backup_set.damage}" for backup_set in damaged[:NAMED_SETS])
    if len(damaged) > NAMED_SETS:
        listed += f"; and {len(damaged) - NAMED_SETS} more sets"
    if repository.unrepaired():
        return Verdict(
            "files_present",
            False,
            f"{len(damaged)} sets cannot be restored, take a full backup: {listed}",
            numbers=numbers,
        )
    return Verdict(
        "files_present",
        True,
        f"the newest full and all since are whole; {len(damaged)} older sets count for nothing: {listed}",
        numbers=numbers,
    )


def bytes_verified(ctx: BackupContext, repository: Repository, now: datetime) -> Verdict:
    """Check that what is stored is read in time and found right; never having read is a failure."""
    with postgres.session(ctx.ops_url, application="ops-platform checks") as connection:
        summary = read_store.summary(connection, ctx.stanza.name)
        damage = read_store.unrepaired(connection, repository)
    return judge_readings(repository, summary, damage, now)


def judge_readings(repository: Repository, summary: Summary, damage: Sequence[str], now: datetime) -> Verdict:
    """Judge the readings; ``damage`` is what they found wrong. The first is due two days after a set."""
    numbers: dict[str, str | int | float] = {"unverified_bytes": summary.unverified_bytes}
    if summary.oldest_verified_at is not None:
        numbers["oldest_set_verified_at"] = summary.oldest_verified_at.isoformat()
    first = min((backup_set.completed_at for backup_set in repository.sets), default=None)
    if damage:
        listed = "; ".join(damage[:NAMED_SETS])
        problem = f"{len(damage)} stored objects hold wrong bytes: {listed}: take a full backup"
    elif summary.due_at is None and first is not None and now - first > LATEST_READING:
        problem = "what is stored was never read: start backup_verify"
    elif summary.due_at is not None and now - summary.due_at > LATEST_READING:
        problem = (
            f"stored bytes are not read in time, since {summary.due_at:%Y-%m-%d %H:%M} UTC: start "
            "backup_verify, or raise verification_bytes and verification_seconds"
        )
    else:
        told = f"nothing is overdue; {summary.unverified_bytes / 1e6:.0f} MB are not read yet"
        return Verdict("bytes_verified", True, told, numbers=numbers)
    return Verdict("bytes_verified", False, problem, numbers=numbers)
