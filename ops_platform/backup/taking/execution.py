"""Taking a backup: preflight -> take -> verify -> record, each step safe to repeat.

What a worker that is killed between any two lines leaves:

- before ``take`` inserts the row: nothing;
- row inserted, pgBackRest not finished: a ``running`` row, an audit intent, and in the repository
  at most an unfinished folder that ``info`` does not show and pgBackRest reuses or removes. The
  kernel kills pgBackRest with its worker, so its lock is free; the database session is gone,
  so the stanza's lock is free. The next holder of that lock reconciles the row to ``failed``;
- pgBackRest finished, not recorded: the same, but the set is in the repository, annotated with
  run and root run. A replay of the run finds and adopts it; otherwise it is a sound set whose
  run was given up;
- recorded: one transaction holds the completed row and the audit outcome. Asked again, it
  answers the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from ops_platform.backup.repository import BackupSet, Repository
from ops_platform.backup.stanza import PGBACKREST_TYPE, BackupContext, locks
from ops_platform.backup.taking import preflight as preflight_checks
from ops_platform.backup.taking import report_store as records
from ops_platform.backup.taking import verification
from ops_platform.backup.taking.preflight import Preflight
from ops_platform.backup.taking.report import BackupReport, BackupRequest
from ops_platform.backup.taking.verification import Verification
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest import LABEL_NOT_NEWEST, LOCKED, PgBackRestError
from ops_platform.clients.safe_errors import Note, describe
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed, OpsError, Unavailable

__all__ = [
    "BackupReport",
    "BackupRequest",
    "Preflight",
    "Taken",
    "Verification",
    "fail",
    "find_taken",
    "preflight",
    "record",
    "require_taken",
    "run_backup",
    "take",
    "verify",
]

Log = Callable[[str], None]
Progress = Callable[[float], None]

LOCK_WAIT_SECONDS = 6 * 3600.0
PGBACKREST_LOCK_SECONDS = 3600.0
"""How long a backup waits for pgBackRest's own lock: an expire, or a backup that somebody took by hand."""


RECORD_SECONDS = 60.0


@dataclass(frozen=True)
class Taken:
    """The set that stands for a run; ``adopted`` when an earlier run of the same root made it."""

    label: str
    adopted: bool
    backup_set: BackupSet


def preflight(ctx: BackupContext, request: BackupRequest, log: Log) -> Preflight:
    """Whether this backup can succeed; raises an OpsError with one line when not. Holds the stanza's lock."""
    with postgres.session(ctx.ops_url) as connection:
        for backup_id in records.reconcile(connection, request.stanza, but=request.backup_id):
            log(f"report {backup_id} was of a run that died: now recorded as failed")
    return preflight_checks.run(ctx, request, log)


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


def verify(ctx: BackupContext, label: str, log: Log) -> Verification:
    """Whether a set can be restored; raises CheckFailed that names what is missing."""
    return verification.run(ctx, label, log)


def record(ctx: BackupContext, request: BackupRequest, taken: Taken) -> BackupReport:
    """Complete the report and tell the ledger, in one transaction. Repeating it changes nothing.

    Waits RECORD_SECONDS for an ops database that is being restarted: the set is made already.
    """
    uri = ctx.repository_uri(taken.label)

    def recorded() -> BackupReport | None:
        try:
            with postgres.session(ctx.ops_url) as connection:
                return records.complete(connection, request, taken.backup_set, uri, adopted=taken.adopted)
        except (Unavailable, psycopg.OperationalError):
            return None

    return wait_until(
        recorded,
        RECORD_SECONDS,
        f"set {taken.label} was made, but the ops database does not take its report",
        interval=0.5,
        hint="start the ops database, then replay the run: it adopts the set",
    )


def fail(ctx: BackupContext, request: BackupRequest, reason: str) -> None:
    """Record that the run ended without a set that counts, and why. A completed report stays completed."""
    with postgres.session(ctx.ops_url) as connection:
        records.fail(connection, request, reason)


def run_backup(ctx: BackupContext, request: BackupRequest, log: Log, progress: Progress) -> BackupReport:
    """All of it, with the stanza's lock and the record of a failure; needs no Dagster."""
    try:
        with locks.stanza_lock(ctx.ops_url, request.stanza, LOCK_WAIT_SECONDS, log):
            preflight(ctx, request, log)
            taken = take(ctx, request, log, progress)
            verify(ctx, taken.label, log)
            return record(ctx, request, taken)
    except BaseException as error:
        reason = describe(error) if isinstance(error, OpsError) else f"ended by {type(error).__name__}"
        try:
            fail(ctx, request, reason)
        except (OpsError, psycopg.OperationalError) as unrecorded:
            error.add_note(
                Note(f"the failure is not recorded yet and will be reconciled: {describe(unrecorded)}")
            )
        raise


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
