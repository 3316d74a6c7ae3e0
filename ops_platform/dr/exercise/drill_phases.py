"""The phases of one restore, each using what earlier ones found. Their order is in ``drill``."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import ClassVar

from ops_platform.dr.exercise.rehearsal import Drill, server_of
from ops_platform.dr.inspection import run_checks, verdict
from ops_platform.dr.restore import FetchWatch, pgbackrest_restore, tablespace_map
from ops_platform.dr.verification import recovery_checks

RECOVERY_SECONDS = 6 * 3600.0


class DrillPhase(ABC):
    """One phase. An OpsError or psycopg.Error in it is the result of its check, and ends the drill."""

    check_name: ClassVar[str | None]
    """The check whose result such an error is; None: the error is not about the backup, and is raised."""
    timing_key: ClassVar[str | None] = None
    """The key of ``Rehearsal.phases`` for its seconds; None: not timed, or ``perform`` sets keys itself."""

    @abstractmethod
    def perform(self, drill: Drill) -> None:
        """Carry out the phase, and add its results to ``drill.rehearsal``."""


class SelectSet(DrillPhase):
    """Choose the set and the target, and check that there is disk space for them."""

    check_name = "backup_selected"
    timing_key = "select"

    def perform(self, drill: Drill) -> None:
        """Set ``reader``, ``plan`` and ``placements`` of the drill."""
        drill.reader = drill.options.repository.open_reader(drill.ctx, drill.here)
        drill.rehearsal.plan = drill.plan = plan = drill.knowledge.plan(drill.reader)
        tablespaces = tablespace_map.of_set(drill.reader, plan.backup_set.label)
        drill.placements = drill.options.place(tablespaces, drill.here)
        needed = plan.backup_set.size_bytes + plan.wal_bytes
        tablespace_map.require_space(drill.here, drill.placements, needed)
        drill.rehearsal.add(verdict("backup_selected", True, f"{plan.note}; target: {plan.target}"))


class RestoreFiles(DrillPhase):
    """Let pgBackRest copy the set."""

    check_name = "restored"
    timing_key = "restore"

    def perform(self, drill: Drill) -> None:
        """Restore, and keep the size and the rate of the copy."""
        plan = drill.plan
        repository = drill.options.repository
        if (described := repository.describe(drill.reader, plan)) is not None:
            drill.log(f"reading the repository {described}")
        repository.fetch(drill.reader, drill.here, plan)
        drill.log(f"restoring set {plan.backup_set.label} ({plan.note}) to {plan.target}")
        tablespace_map.make_directories(drill.here, drill.placements)
        drill.rehearsal.copy = copy = pgbackrest_restore.restore(
            drill.reader,
            plan.backup_set,
            plan.target,
            plan.timeline,
            drill.log,
            drill.progress,
            archive_mode=drill.options.archive_mode,
            tablespaces=drill.placements,
        )
        size, rate = copy.size_bytes / 1e6, copy.rate / 1e6
        summary = f"{size:.1f} MB in {copy.seconds:.1f} s, the bulk at {rate:.1f} MB/s"
        drill.rehearsal.add(verdict("restored", True, summary, bytes=copy.size_bytes))


class Recover(DrillPhase):
    """Start the server and follow its recovery to the end, timed as ``replay`` and ``promote``.

    A file of the archive that does not come ends it, see ``FetchWatch``.

    Replay ends when the server's log says so; the rest until it takes writes is promotion.
    """

    check_name = "recovered_and_promoted"

    def perform(self, drill: Drill) -> None:
        """Set ``server``, and measure the replay and the promotion."""
        plan, rehearsal = drill.plan, drill.rehearsal
        drill.server = server = server_of(drill.ctx, drill.here)
        last = plan.last_segment if drill.options.freeze_archive else None
        fetching = pgbackrest_restore.archive_get(drill.reader, drill.here, plan.geometry, last)
        drill.until_end.enter_context(server.running(fetching))
        began = time.monotonic()
        watch = FetchWatch(
            drill.here.fetching, drill.here.data_dir / "pg_wal", drill.reader.pgbackrest.stall_seconds
        )
        server.wait_promoted(RECOVERY_SECONDS, watch.look)
        recovery, now, whole = server.recovery(), datetime.now(UTC), time.monotonic() - began
        replayed_at = recovery.replayed_at
        promotion = 0.0 if replayed_at is None else max(0.0, (now - replayed_at).total_seconds())
        rehearsal.replay_seconds = max(0.0, whole - promotion)
        rehearsal.replayed_bytes = recovery.replayed_bytes
        if recovery.redo_seconds > 0:
            rehearsal.replay_rate = recovery.replayed_bytes / recovery.redo_seconds
        rehearsal.phases["replay"] = rehearsal.replay_seconds
        rehearsal.phases["promote"] = whole - rehearsal.replay_seconds


class EraseAgain(DrillPhase):
    """Erase again the subjects who were erased since the set was taken, before anybody can see their data."""

    check_name = "recovered_and_promoted"
    timing_key = "tombstones"

    def perform(self, drill: Drill) -> None:
        """Replay the tombstones in the restored database."""
        checks, server = drill.knowledge.checks, drill.server
        drill.rehearsal.results += run_checks([("tombstones", lambda: checks.tombstones(server))], drill.log)


class CheckCritical(DrillPhase):
    """Run the checks that must pass before the cluster may take traffic; then the recovery time ends."""

    check_name = "recovered_and_promoted"
    timing_key = "critical"

    def perform(self, drill: Drill) -> None:
        """Set ``moment``, and measure the recovery time and the loss."""
        rehearsal, server, plan = drill.rehearsal, drill.server, drill.plan
        source, checks = drill.knowledge.source, drill.knowledge.checks
        rehearsal.results += run_checks(
            recovery_checks.checks(server, source, plan, drill.knowledge.expected(plan)), drill.log
        )
        rehearsal.newest_beat = recovery_checks.newest_beat(server, source)
        # To the end of the archive: as far as the heartbeats came.
        drill.moment = plan.target.moment or rehearsal.newest_beat or plan.backup_set.completed_at
        rehearsal.results += run_checks(checks.critical(server, plan, drill.moment), drill.log)
        if recovery_checks.recovered(server).passed:
            rehearsal.rto_seconds = rehearsal.elapsed
        rehearsal.loss = recovery_checks.loss(plan, rehearsal.t0, rehearsal.newest_beat, source)


class CheckAssurance(DrillPhase):
    """Run the other checks, while the server runs."""

    check_name = "recovered_and_promoted"
    timing_key = "assurance"

    def perform(self, drill: Drill) -> None:
        """Run the checks at ``moment``."""
        checks = drill.knowledge.checks
        drill.rehearsal.results += run_checks(
            checks.assurance(drill.server, drill.plan, drill.moment), drill.log
        )


class StopServer(DrillPhase):
    """Stop the server cleanly."""

    check_name = "recovered_and_promoted"

    def perform(self, drill: Drill) -> None:
        """Leave the server's context, which stops it."""
        drill.until_end.close()


class CheckStopped(DrillPhase):
    """Run the checks that need the files of a stopped server."""

    check_name = None
    timing_key = "assurance"

    def perform(self, drill: Drill) -> None:
        """Run the checks, and measure the seconds until the last of them."""
        drill.rehearsal.results += run_checks(drill.knowledge.checks.stopped(drill.server), drill.log)
        drill.rehearsal.assurance_seconds = drill.rehearsal.elapsed
