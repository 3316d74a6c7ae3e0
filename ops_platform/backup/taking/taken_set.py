"""The set that stands for a run: found by its annotation, adopted when it is sound, else taken by pgBackRest.

What is done before and afterwards is in ``execution``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ops_platform.backup.repository import BackupSet, Repository
from ops_platform.backup.stanza import PGBACKREST_TYPE, BackupContext, locks
from ops_platform.backup.taking import report_store as records
from ops_platform.backup.taking import verification
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest import LABEL_NOT_NEWEST, LOCKED, PgBackRestError
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed

Log = Callable[[str], None]
Progress = Callable[[float], None]

PGBACKREST_LOCK_SECONDS = 3600.0
"""How long a backup waits for pgBackRest's own lock: an expire, or a backup that somebody took by hand."""


@dataclass(frozen=True)
class Taken:
    """The set that stands for a run; ``adopted`` when an earlier run of the same root made it."""

    label: str
    adopted: bool
    backup_set: BackupSet


def find_taken(ctx: BackupContext, request: BackupRequest) -> Taken | None:
    """The set that this run, or an earlier run of its root, made on the same request."""
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    made = repository.made_by(request.root_run_id, request.kind)
    if made is None:
        return None
    return Taken(made.label, made.annotations.get("run_id") != request.run_id, made)


def require_taken(ctx: BackupContext, request: BackupRequest) -> Taken:
    """Like find_taken. Raises CheckFailed when there is no such set."""
    taken = find_taken(ctx, request)
    if taken is None:
        raise CheckFailed(
            f"the repository has no set of run {request.root_run_id} for stanza {request.stanza}: "
            "replay the run from its first step"
        )
    return taken


def take(ctx: BackupContext, request: BackupRequest, log: Log, progress: Progress) -> Taken:
    """Adopt the sound set of an earlier run of this root, or let pgBackRest take one.

    Opens the report before anything happens in the repository. The caller holds the stanza's lock.
    """
    earlier = find_taken(ctx, request)
    with postgres.session(ctx.ops_url) as connection:
        records.open_report(connection, request)
    if earlier is not None and _is_sound(ctx, earlier, log):
        log(f"set {earlier.label} was made by this run's root: adopted, no other one is taken")
        return earlier
    annotations = {
        "root_run_id": request.root_run_id,
        "run_id": request.run_id,
        "requested_kind": request.kind,
        "launched_by": request.launched_by,
    }
    label = _backup(ctx, request, annotations, log, progress)
    taken = require_taken(ctx, request)
    if taken.label != label:
        raise CheckFailed(
            f"pgBackRest made set {label}, but the repository names {taken.label}: look at both"
        )
    return taken


def _is_sound(ctx: BackupContext, earlier: Taken, log: Log) -> bool:
    """A set that failed its verification would fail it for ever: a replay takes another then."""
    try:
        verification.run(ctx, earlier.label, log)
    except CheckFailed as error:
        log(f"WARNING: the set that this run's root made is not adopted: {error}")
        return False
    return True


def _backup(
    ctx: BackupContext, request: BackupRequest, annotations: dict[str, str], log: Log, progress: Progress
) -> str:
    """Run pgBackRest, waiting for whoever holds its lock: an expire, or somebody at the keyboard.

    Some stores (SeaweedFS for minutes, MinIO with object lock for ever) go on listing the folder of a
    killed full after pgBackRest has removed all that was in it. pgBackRest then refuses every
    differential and incremental, whose label starts with an older full's (its pull request 2824).
    So the full that was killed is made up for now, instead of blocking them until the next one is due.
    """
    told = -locks.ANNOUNCE_SECONDS
    kind = request.kind

    def attempt() -> str | None:
        nonlocal told, kind
        try:
            return ctx.pgbackrest.backup(PGBACKREST_TYPE[kind], annotations, log, progress)
        except PgBackRestError as error:
            if error.code == LABEL_NOT_NEWEST and kind != "full":
                log(f"S3 still lists a full that did not finish: the {kind} asked for will be a full")
                kind = "full"
                return None
            if error.code != LOCKED:
                raise
            if time.monotonic() - told >= locks.ANNOUNCE_SECONDS:
                told = time.monotonic()
                log("another pgBackRest process holds the stanza's lock: waiting for its end")
            return None

    return wait_until(
        attempt,
        PGBACKREST_LOCK_SECONDS,
        f"another pgBackRest process holds the lock of stanza {request.stanza}",
        interval=2.0,
        hint="look for it with 'ps', or wait",
    )
