"""The set of a run: found by its annotation, adopted when it is sound, else taken by pgBackRest.

The phases before and after it are in ``execution``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ops_platform.backup.repository import BackupSet, Repository
from ops_platform.backup.stanza import PGBACKREST_TYPE, BackupContext, locks
from ops_platform.backup.taking import report_store, verification
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
class TakenSet:
    """The set of a run; ``adopted`` when an earlier run of the same root made it."""

    label: str
    adopted: bool
    backup_set: BackupSet


def find_taken(ctx: BackupContext, request: BackupRequest) -> TakenSet | None:
    """Find the set that this run, or an earlier run of its root, made on the same request."""
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    made = repository.made_by(request.root_run_id, request.kind)
    if made is None:
        return None
    return TakenSet(made.label, made.annotations.get("run_id") != request.run_id, made)


def require_taken(ctx: BackupContext, request: BackupRequest) -> TakenSet:
    """Find the set of the run as ``find_taken`` does. Raises CheckFailed when there is none."""
    taken = find_taken(ctx, request)
    if taken is None:
        raise CheckFailed(
            f"the repository has no set of run {request.root_run_id} for stanza {request.stanza}: "
            "replay the run from its first step"
        )
    return taken


def take(ctx: BackupContext, request: BackupRequest, log: Log, progress: Progress) -> TakenSet:
    """Adopt the sound set of an earlier run of this root, or let pgBackRest take one.

    Opens the report before anything happens in the repository. The caller holds the stanza's lock.
    """
    earlier = find_taken(ctx, request)
    with postgres.session(ctx.ops_url) as connection:
        report_store.open_report(connection, request)
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


def _is_sound(ctx: BackupContext, earlier: TakenSet, log: Log) -> bool:
    """Verify a set that may be adopted.

    One that fails would fail at every replay: a replay takes another set instead.
    """
    try:
        verification.run(ctx, earlier.label, log)
    except CheckFailed as error:
        log(f"WARNING: the set that this run's root made is not adopted: {error}")
        return False
    return True


def _backup(
    ctx: BackupContext, request: BackupRequest, annotations: dict[str, str], log: Log, progress: Progress
) -> str:
    """Run pgBackRest, waiting while another process holds its lock: an expire, or a person's command.

    Some stores (SeaweedFS for minutes, MinIO with object lock for ever) go on listing the folder of a
    killed full after pgBackRest has removed all that was in it. pgBackRest then refuses every
    differential and incremental, whose label starts with an older full's (its pull request 2824).
    So a full is taken now in place of the killed one, instead of blocking them until the next is due.
    """
    announced_at = -locks.ANNOUNCE_SECONDS
    kind = request.kind

    def attempt() -> str | None:
        nonlocal announced_at, kind
        try:
            return ctx.pgbackrest.backup(PGBACKREST_TYPE[kind], annotations, log, progress)
        except PgBackRestError as error:
            if error.code == LABEL_NOT_NEWEST and kind != "full":
                log(f"S3 still lists a full that did not finish: the {kind} asked for will be a full")
                kind = "full"
                return None
            if error.code != LOCKED:
                raise
            if time.monotonic() - announced_at >= locks.ANNOUNCE_SECONDS:
                announced_at = time.monotonic()
                log("another pgBackRest process holds the stanza's lock: waiting for its end")
            return None

    return wait_until(
        attempt,
        _patience(ctx, request),
        f"another pgBackRest process holds the lock of stanza {request.stanza}",
        interval=2.0,
        hint="look for it with 'ps', or wait",
    )


def _patience(ctx: BackupContext, request: BackupRequest) -> float:
    """Compute for how many seconds to wait for pgBackRest's own lock.

    A restart of the ops database frees the stanza's lock of a backup that goes on. Of one into the cluster's
    other repository only pgBackRest's lock, which is one for both, says then that it runs.
    """
    turn = request.turn_seconds if ctx.in_other_repositories() else 0.0
    return max(PGBACKREST_LOCK_SECONDS, turn)
