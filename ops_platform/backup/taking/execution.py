"""Taking a backup: PHASES is the order, for jobs and command line; each phase is safe to repeat.

A worker that is killed between any two lines leaves this behind:

- before ``take`` inserts the row: nothing;
- row inserted, pgBackRest not finished: a ``running`` row, an audit intent, and in the repository
  at most an unfinished folder that ``info`` does not show and pgBackRest reuses or removes. The
  kernel kills pgBackRest with its worker, so its lock is free; the database session is gone,
  so the stanza's lock is free. The next holder of that lock reconciles the row to ``failed``;
- pgBackRest finished, not recorded: the same, but the set is in the repository, annotated with
  run and root run. A replay of the run finds and adopts it; otherwise it is a sound set whose
  run was given up;
- recorded: one transaction holds the completed row and the audit outcome. Asked again, it
  answers the same;
- recorded, its index not kept: the set counts. The agent, which looks every minute, or the next
  backup keeps the index.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg

from ops_platform.backup.repository import KeptIndex, index_files
from ops_platform.backup.stanza import BackupContext, locks
from ops_platform.backup.taking import preflight as preflight_checks
from ops_platform.backup.taking import report_store, verification
from ops_platform.backup.taking.preflight import Preflight
from ops_platform.backup.taking.report import BackupReport, BackupRequest
from ops_platform.backup.taking.taken_set import Log, Progress, TakenSet, find_taken, require_taken, take
from ops_platform.backup.taking.verification import Verification
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import Note, describe
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError, Unavailable

__all__ = [
    "PHASES",
    "Backup",
    "BackupReport",
    "BackupRequest",
    "Phase",
    "Preflight",
    "RecordReport",
    "TakeSet",
    "TakenSet",
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

LOCK_WAIT_SECONDS = 6 * 3600.0
RECORD_SECONDS = 60.0


def preflight(ctx: BackupContext, request: BackupRequest, log: Log) -> Preflight:
    """Check that this backup can succeed; raises an OpsError with one line when not.

    The caller holds the stanza's lock. Reports of runs that died are recorded as failed first.
    """
    with postgres.session(ctx.ops_url) as connection:
        for backup_id in report_store.reconcile(connection, request.stanza, but=request.backup_id):
            log(f"report {backup_id} was of a run that died: now recorded as failed")
    return preflight_checks.run(ctx, request, log)


def verify(ctx: BackupContext, label: str, log: Log) -> Verification:
    """Check that a set can be restored; raises CheckFailed that names what is missing."""
    return verification.run(ctx, label, log)


def record(ctx: BackupContext, request: BackupRequest, taken: TakenSet) -> BackupReport:
    """Complete the report and the audit ledger's entry, in one transaction. Repeating it changes nothing.

    Waits RECORD_SECONDS for an ops database that is being restarted: the set exists already.
    """
    uri = ctx.repository_uri(taken.label)

    def recorded() -> BackupReport | None:
        try:
            with postgres.session(ctx.ops_url) as ops:
                return report_store.complete(ops, request, taken.backup_set, uri, adopted=taken.adopted)
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
        report_store.fail(connection, request, reason)


@dataclass(repr=False)
class Backup:
    """The state that the phases of one backup share. Each op has its own: ops share nothing."""

    ctx: BackupContext
    request: BackupRequest
    log: Log
    progress: Progress
    report: BackupReport = field(init=False)
    """Set by the last phase; reading it before that raises AttributeError."""
    _taken: TakenSet | None = None

    @property
    def taken(self) -> TakenSet:
        """The run's set, as taken in this process, else as found in the repository. Raises CheckFailed."""
        if self._taken is None:
            self._taken = require_taken(self.ctx, self.request)
        return self._taken

    @taken.setter
    def taken(self, taken: TakenSet) -> None:
        self._taken = taken


class Phase(ABC):
    """One phase. ``name`` and ``description`` are those of its op."""

    name: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def perform(self, backup: Backup) -> dict[str, Any]:
        """Carry out the phase; return facts for the run's metadata. Raises an OpsError with one line."""


class CheckPreconditions(Phase):
    """Check that this backup can succeed, and record reports of runs that died as failed."""

    name = "preflight"
    description = (
        "The server, the archiver, the stanza and the repository can take this backup; no other runs."
    )

    def perform(self, backup: Backup) -> dict[str, Any]:
        """Return the sizes and counts that the checks found."""
        return preflight(backup.ctx, backup.request, backup.log).as_metadata()


class TakeSet(Phase):
    """Take the set, or adopt the one that this run or an earlier one of its root made."""

    name = "run"
    description = "pgBackRest takes the set, or the set that this run made before is adopted."

    def perform(self, backup: Backup) -> dict[str, Any]:
        """Return the set's label, and whether it was adopted."""
        backup.taken = taken = take(backup.ctx, backup.request, backup.log, backup.progress)
        return {"label": taken.label, "adopted": taken.adopted}


class VerifySet(Phase):
    """Verify that the run's set can be restored."""

    name = "verify"
    description = "The set is listed, clean, its WAL is in the repository, its chain is whole."

    def perform(self, backup: Backup) -> dict[str, Any]:
        """Return what the verification found."""
        return verify(backup.ctx, backup.taken.label, backup.log).as_metadata()


class RecordReport(Phase):
    """Complete the report; repeating it changes nothing."""

    name = "record"
    description = "The report is completed, the audit ledger told, the asset event emitted."

    def perform(self, backup: Backup) -> dict[str, Any]:
        """Set ``report``; the metadata is empty."""
        backup.report = record(backup.ctx, backup.request, backup.taken)
        return {}


class KeepIndex(Phase):
    """Keep the repository's index in the ledger's bucket; what is kept already stays as it is."""

    name = "keep_index"
    description = "backup.info and archive.info, as they are now, are kept in the ledger's bucket under lock."

    def perform(self, backup: Backup) -> dict[str, Any]:
        """Return how many versions were new. Without a ledger's bucket it warns, and the agent alerts."""
        ctx = backup.ctx
        if not KeptIndex.is_configured(ctx.settings):
            backup.log(
                "WARNING: no ledger's bucket is configured: the repository's index is kept nowhere else"
            )
            return {"kept": 0, "configured": False}
        written = KeptIndex.open(ctx.settings, ctx.stanza.name).keep(index_files.look(ctx), datetime.now(UTC))
        return {"kept": len(written), "configured": True}


PHASES: tuple[Phase, ...] = (CheckPreconditions(), TakeSet(), VerifySet(), RecordReport(), KeepIndex())


def run_backup(ctx: BackupContext, request: BackupRequest, log: Log, progress: Progress) -> BackupReport:
    """Run all phases under the stanza's lock, and record a failure; needs no Dagster."""
    try:
        with locks.stanza_lock(ctx.ops_url, request.stanza, LOCK_WAIT_SECONDS, log):
            backup = Backup(ctx, request, log, progress)
            for phase in PHASES:
                phase.perform(backup)
            return backup.report
    except BaseException as error:
        reason = describe(error) if isinstance(error, OpsError) else f"ended by {type(error).__name__}"
        try:
            fail(ctx, request, reason)
        except (OpsError, psycopg.OperationalError) as unrecorded:
            error.add_note(
                Note(f"the failure is not recorded yet and will be reconciled: {describe(unrecorded)}")
            )
        raise
