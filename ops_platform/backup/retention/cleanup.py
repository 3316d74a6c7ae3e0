"""Cleanup by the retention policy: a dry run that plans it, and the removal itself.

It never removes the last chain that can be restored, nor a set that somebody restores from: restores
hold a shared lock on the stanza's sets, the cleanup an exclusive one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ops_platform.audit import ledger
from ops_platform.backup.monitoring import Observation, archiver, observe
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Archive, Repository
from ops_platform.backup.stanza import BackupContext, locks
from ops_platform.backup.taking import recorded_sets
from ops_platform.clients.pgbackrest import ArchiveRange, log_lines
from ops_platform.errors import CheckFailed

ACTION = recorded_sets.EXPIRE
IN_USE_SECONDS = 3600.0
"""Wait for restores that read the sets."""
BACKUP_SECONDS = 3 * 24 * 3600.0
"""Wait for a backup. A full of a large cluster takes days, and the next cleanup is a month away."""


@dataclass(frozen=True)
class CleanupPlan:
    """Sets and WAL that pgBackRest says it would remove; ``kept`` are the labels of the other sets."""

    stanza: str
    expired: tuple[str, ...]
    kept: tuple[str, ...]
    archive: tuple[ArchiveRange, ...]

    @property
    def summary(self) -> str:
        """One line with the sets and the WAL that would go."""
        if not self.expired and not self.archive:
            return f"stanza {self.stanza}: nothing to expire, {len(self.kept)} sets stay"
        wal = "".join(
            f"; WAL {wal_range.start} to {wal_range.stop} of {wal_range.archive_id}"
            for wal_range in self.archive
        )
        sets = ", ".join(self.expired) or "no set"
        return f"stanza {self.stanza}: {sets} would go, {len(self.kept)} sets stay{wal}"


def plan(ctx: BackupContext) -> CleanupPlan:
    """Do a dry run of the retention policy; changes nothing.

    Raises CheckFailed when it would remove the last chain that can be restored, and when it would remove
    anything while none can.
    """
    lines = ctx.pgbackrest.expire(dry_run=True)
    expired, ranges = log_lines.expired_sets(lines), log_lines.expired_archive(lines)
    asked = archiver.ask(ctx)
    observation = observe(ctx, written=archiver.written(asked, datetime.now(UTC)))
    kept = tuple(
        backup_set.label for backup_set in observation.repository.sets if backup_set.label not in expired
    )
    made = CleanupPlan(ctx.stanza.name, expired, kept, ranges)
    if (expired or ranges) and observation.best is None:
        raise CheckFailed(
            f"{made.summary}: none of the sets can be restored now, and what would go may be needed to "
            "repair one; take a full backup"
        )
    if (expired or ranges) and not leaves_restorable_set(observation, made):
        raise CheckFailed(
            f"{made.summary}: the last chain that can be restored would be among them; take a full backup"
        )
    return made


def apply(
    ctx: BackupContext, plan_made: CleanupPlan, *, operation_id: str, log: Callable[[str], None]
) -> CleanupPlan:
    """Remove what the policy lets go, while nobody backs up or restores. Returns what was removed.

    The dry run is repeated under the locks, since time has passed. Raises what ``plan`` raises,
    Unavailable when the sets stay in use, and CheckFailed when pgBackRest did not keep to the plan.
    """
    stanza = ctx.stanza.name
    with (
        locks.stanza_lock(ctx.ops_url, stanza, BACKUP_SECONDS, log),
        locks.sets_exclusive(ctx.ops_url, stanza, IN_USE_SECONDS, log),
    ):
        current = plan(ctx)
        if current != plan_made:
            log(f"the plan has changed meanwhile: {current.summary}")
        if not current.expired and not current.archive:
            return current
        details: dict[str, ledger.JSON] = {"expired": list(current.expired), "kept": list(current.kept)}
        with ledger.operation(
            ledger.default_connect(ctx.ops_url),
            action=ACTION,
            object=f"stanza/{stanza}",
            actor="platform",
            operation_id=operation_id,
            details=details,
        ):
            ctx.pgbackrest.expire(dry_run=False, on_line=log)
            _confirm(ctx, current)
        return current


def _confirm(ctx: BackupContext, done: CleanupPlan) -> None:
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    listed = {backup_set.label for backup_set in repository.sets}
    lost = [label for label in done.kept if label not in listed]
    if lost:
        raise CheckFailed(f"expire removed sets that were to stay: {', '.join(lost)}; look at its log")
    remaining = [label for label in done.expired if label in listed]
    if remaining:
        raise CheckFailed(f"expire left sets that were to go: {', '.join(remaining)}; look at its log")


def leaves_restorable_set(observation: Observation, made: CleanupPlan) -> bool:
    """Tell whether a set can still be restored once the plan is carried out."""
    if observation.archive is None:
        return False
    repository = replace(
        observation.repository,
        sets=tuple(backup_set for backup_set in observation.repository.sets if backup_set.label in made.kept),
    )
    return rpo.best_state(repository, _without(observation, observation.archive, made)) is not None


def _without(observation: Observation, archive: Archive, made: CleanupPlan) -> Archive:
    current = observation.repository.current
    removed = [
        wal_range
        for wal_range in made.archive
        if current is not None and wal_range.archive_id == current.archive_id
    ]

    def stays(name: str) -> bool:
        return not any(wal_range.start <= name <= wal_range.stop for wal_range in removed)

    kept = tuple(archived for archived in archive.segments if stays(archive.geometry.name(archived.segment)))
    return replace(archive, segments=kept)
