"""The phases of one restore: what each does with what the earlier ones found. Their order is in ``drill``."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import ClassVar

from ops_platform.dr.exercise.rehearsal import Drill, server_of
from ops_platform.dr.inspection import run_checks, verdict
from ops_platform.dr.restore import pgbackrest_restore, workspace
from ops_platform.dr.verification import recovery_checks

RECOVERY_SECONDS = 6 * 3600.0


class DrillPhase(ABC):
    """One phase. An OpsError or psycopg.Error in it is the answer to ``answers``, and ends the drill."""

    answers: ClassVar[str | None]
    """None: such an error is none of the backup's, and goes through."""
    timed_as: ClassVar[str | None] = None
    """Under which name of ``Rehearsal.phases`` its seconds count; None: not at all, or it says so itself."""

    @abstractmethod
    def perform(self, drill: Drill) -> None:
        """Do it, and answer what it answers in ``drill.done``."""


class SelectSet(DrillPhase):
    """Choose the set and the target, and see that there is room for them."""

    answers = "backup_selected"
    timed_as = "select"

    def perform(self, drill: Drill) -> None:
        drill.reader = workspace.open_reader(drill.ctx, drill.here)
        drill.done.plan = drill.plan = plan = drill.knowledge.plan(drill.reader)
        workspace.require_space(drill.here.data_dir, plan.backup_set.size_bytes + plan.wal_bytes)
        drill.done.answer(verdict("backup_selected", True, f"{plan.note}; target: {plan.target}"))


class RestoreFiles(DrillPhase):
    """Let pgBackRest copy the set."""

    answers = "restored"
    timed_as = "restore"

    def perform(self, drill: Drill) -> None:
        plan = drill.plan
        drill.log(f"restoring set {plan.backup_set.label} ({plan.note}) to {plan.target}")
        drill.done.copy = copy = pgbackrest_restore.restore(
            drill.reader,
            plan.backup_set,
            plan.target,
            plan.timeline,
            drill.log,
            drill.progress,
            archive_mode=drill.manner.archive_mode,
            tablespaces=drill.here.tablespaces if drill.manner.beside else None,
        )
        size, rate = copy.size_bytes / 1e6, copy.rate / 1e6
        said = f"{size:.1f} MB in {copy.seconds:.1f} s, the bulk at {rate:.1f} MB/s"
        drill.done.answer(verdict("restored", True, said, bytes=copy.size_bytes))


class Recover(DrillPhase):
    """Start the server and follow its recovery to the end, timed as ``replay`` and ``promote``.

    Replay ends when the server's log says so; the rest until it takes writes is promotion.
    """

    answers = "recovered_and_promoted"

    def perform(self, drill: Drill) -> None:
        plan, done = drill.plan, drill.done
        drill.server = server = server_of(drill.ctx, drill.here)
        gate = pgbackrest_restore.frozen_archive(drill.reader, drill.here, plan.geometry, plan.last_segment)
        drill.until_end.enter_context(server.running(gate if drill.manner.frozen else {}))
        began = time.monotonic()
        server.wait_promoted(RECOVERY_SECONDS)
        seen, now, whole = server.recovery(), datetime.now(UTC), time.monotonic() - began
        promotion = 0.0 if seen.replayed_at is None else max(0.0, (now - seen.replayed_at).total_seconds())
        done.replay_seconds = max(0.0, whole - promotion)
        done.replayed_bytes = seen.replayed_bytes
        if seen.redo_seconds > 0:
            done.replay_rate = seen.replayed_bytes / seen.redo_seconds
        done.phases["replay"], done.phases["promote"] = done.replay_seconds, whole - done.replay_seconds


class EraseAgain(DrillPhase):
    """Erase whoever was erased since the set was taken, before anybody can see them."""

    answers = "recovered_and_promoted"
    timed_as = "tombstones"

    def perform(self, drill: Drill) -> None:
        questions, server = drill.knowledge.questions, drill.server
        drill.done.answers += run_checks([("tombstones", lambda: questions.tombstones(server))], drill.log)


class AskCritical(DrillPhase):
    """Ask what must hold before the cluster may take traffic; the recovery time ends when it could."""

    answers = "recovered_and_promoted"
    timed_as = "critical"

    def perform(self, drill: Drill) -> None:
        done, server, plan = drill.done, drill.server, drill.plan
        source, questions = drill.knowledge.source, drill.knowledge.questions
        done.answers += run_checks(
            recovery_checks.checks(server, source, plan, drill.knowledge.expected(plan)), drill.log
        )
        done.newest_beat = recovery_checks.newest_beat(server, source)
        # To the end of the archive: as far as the heartbeats came.
        drill.moment = plan.target.moment or done.newest_beat or plan.backup_set.completed_at
        done.answers += run_checks(questions.critical(server, plan, drill.moment), drill.log)
        if recovery_checks.recovered(server).passed:
            done.rto_seconds = done.elapsed
        done.loss = recovery_checks.loss(plan, done.t0, done.newest_beat, source)


class AskForAssurance(DrillPhase):
    """Ask the rest, while the server runs."""

    answers = "recovered_and_promoted"
    timed_as = "assurance"

    def perform(self, drill: Drill) -> None:
        questions = drill.knowledge.questions
        drill.done.answers += run_checks(
            questions.assurance(drill.server, drill.plan, drill.moment), drill.log
        )


class StopServer(DrillPhase):
    """Stop the server cleanly."""

    answers = "recovered_and_promoted"

    def perform(self, drill: Drill) -> None:
        drill.until_end.close()


class AskStopped(DrillPhase):
    """Ask what only the files of a stopped server tell."""

    answers = None
    timed_as = "assurance"

    def perform(self, drill: Drill) -> None:
        drill.done.answers += run_checks(drill.knowledge.questions.stopped(drill.server), drill.log)
        drill.done.assurance_seconds = drill.done.elapsed
