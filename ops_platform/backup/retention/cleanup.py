"""Retention: what the policy would let go (a dry run), and letting it go.

Never the last chain that can be restored, never a set that somebody restores from: restores hold
the stanza's sets shared, this holds them alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ops_platform.audit import ledger
from ops_platform.backup.monitoring import Observation, observe
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Archive
from ops_platform.backup.stanza import BackupContext, locks
from ops_platform.errors import CheckFailed

ACTION = "backup.expire"
IN_USE_SECONDS = 3600.0
"""How long to wait for restores that read the sets."""
BACKUP_SECONDS = 6 * 3600.0

_SET = re.compile(r"remove expired backup (?P<label>\S+)")
_ARCHIVE = re.compile(
    r"(?P<id>\S+) remove archive, start = (?P<start>[0-9A-F]{24}), stop = (?P<stop>[0-9A-F]{24})"
)


@dataclass(frozen=True)
class ArchiveRange:
    """Segments ``start`` to ``stop``, both included, of one archive id."""

    archive_id: str
    start: str
    stop: str


@dataclass(frozen=True)
class CleanupPlan:
    """What pgBackRest says it would remove."""

    stanza: str
    expired: tuple[str, ...]
    kept: tuple[str, ...]
    archive: tuple[ArchiveRange, ...]

    @property
    def summary(self) -> str:
        if not self.expired and not self.archive:
            return f"stanza {self.stanza}: nothing to expire, {len(self.kept)} sets stay"
        wal = "".join(f"; WAL {one.start} to {one.stop} of {one.archive_id}" for one in self.archive)
        sets = ", ".join(self.expired) or "no set"
        return f"stanza {self.stanza}: {sets} would go, {len(self.kept)} sets stay{wal}"


def plan(ctx: BackupContext) -> CleanupPlan:
    """A dry run of the retention policy; changes nothing.

    Raises CheckFailed when it would remove the last chain that can be restored.
    """
    said = ctx.pgbackrest.expire(dry_run=True)
    expired = tuple(found["label"] for line in said if (found := _SET.search(line)))
    ranges = tuple(
        ArchiveRange(found["id"], found["start"], found["stop"])
        for line in said
        if (found := _ARCHIVE.search(line))
    )
    seen = observe(ctx)
    kept = tuple(one.label for one in seen.repository.sets if one.label not in expired)
    made = CleanupPlan(ctx.stanza.name, expired, kept, ranges)
    if (expired or ranges) and seen.best is not None and not leaves_something(seen, made):
        raise CheckFailed(
            f"{made.summary}: the last chain that can be restored would be among them; take a full backup"
        )
    return made


def apply(
    ctx: BackupContext, plan_made: CleanupPlan, *, operation_id: str, log: Callable[[str], None]
) -> CleanupPlan:
    """Let go what the policy lets go, while nobody backs up or restores. Returns what went.

    The dry run is repeated under the locks, since time has passed. Raises what ``plan`` raises,
    and Unavailable when the sets stay in use.
    """
    stanza = ctx.stanza.name
    with (
        locks.stanza_lock(ctx.ops_url, stanza, BACKUP_SECONDS, log),
        locks.sets_exclusive(ctx.ops_url, stanza, IN_USE_SECONDS, log),
    ):
        now = plan(ctx)
        if now != plan_made:
            log(f"the plan has changed meanwhile: {now.summary}")
        if not now.expired and not now.archive:
            return now
        details: dict[str, ledger.JSON] = {"expired": list(now.expired), "kept": list(now.kept)}
        with ledger.operation(
            ledger.default_connect(ctx.ops_url),
            action=ACTION,
            object=f"stanza/{stanza}",
            actor="platform",
            operation_id=operation_id,
            details=details,
        ):
            ctx.pgbackrest.expire(dry_run=False, on_line=log)
            _confirm(ctx, now)
        return now


def _confirm(ctx: BackupContext, done: CleanupPlan) -> None:
    left = {one.label for one in observe(ctx).repository.sets}
    unexpected = [label for label in done.kept if label not in left]
    if unexpected:
        raise CheckFailed(f"expire removed sets that were to stay: {', '.join(unexpected)}; look at its log")
    still = [label for label in done.expired if label in left]
    if still:
        raise CheckFailed(f"expire left sets that were to go: {', '.join(still)}; look at its log")


def leaves_something(seen: Observation, made: CleanupPlan) -> bool:
    """Whether a set can still be restored once the plan is carried out."""
    if seen.archive is None:
        return False
    repository = replace(
        seen.repository, sets=tuple(one for one in seen.repository.sets if one.label in made.kept)
    )
    return rpo.best_state(repository, _without(seen, seen.archive, made)) is not None


def _without(seen: Observation, archive: Archive, made: CleanupPlan) -> Archive:
    current = seen.repository.current
    gone = [one for one in made.archive if current is not None and one.archive_id == current.archive_id]

    def stays(name: str) -> bool:
        return not any(one.start <= name <= one.stop for one in gone)

    kept = tuple(one for one in archive.segments if stays(archive.geometry.name(one.segment)))
    return replace(archive, segments=kept)
