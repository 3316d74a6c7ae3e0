"""One restore from the choice of the set to the last verification, with its phases timed.

Needs the repository and a workspace, no ops database: what only that knows comes in as
``Knowledge``. Locks, records and the scratch directory itself are the exercise's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import psycopg

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.pgbackrest import PgBackRestError
from ops_platform.clients.postgres import programs
from ops_platform.clients.safe_errors import describe
from ops_platform.dr.inspection import (
    RUN,
    SPEED,
    Rung,
    Verification,
    climb,
    failed,
    missing,
    unknown,
    verdict,
)
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore import RestoredServer, Workspace, pgbackrest_restore, workspace
from ops_platform.dr.verification import Expected, Source, recovery_checks
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable

Log = Callable[[str], None]
Progress = Callable[[float], None]

RECOVERY_SECONDS = 6 * 3600.0
MEND = 2
"""Exit code of errors that say nothing about the backup: configuration, reachability."""


class Questions(Protocol):
    """What is asked of the restored cluster beyond its recovery."""

    def tombstones(self, server: RestoredServer) -> Verification:
        """Erase again whoever was erased; asked first."""

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        """Before it may take traffic. ``moment`` is what the source is compared at."""

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        """Afterwards, while it runs."""

    def stopped(self, server: RestoredServer) -> Sequence[Rung]:
        """Of the data directory, once the server was stopped cleanly."""


@dataclass(frozen=True)
class Knowledge:
    """What the repository cannot tell."""

    plan: Callable[[BackupContext], Plan]
    """Given the read-only view of the repository."""
    source: Source
    expected: Callable[[Plan], Expected | None]
    """The newest heartbeat that recovery must bring."""
    questions: Questions


class _Stopped(Exception):
    """The rehearsal cannot go on; ``answer`` says why."""

    def __init__(self, answer: Verification) -> None:
        super().__init__(answer.summary)
        self.answer = answer


@dataclass
class Rehearsal:
    """What came of it. Seconds by phase in ``phases``; what was not reached is None, never zero."""

    t0: datetime
    answers: list[Verification] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    plan: Plan | None = None
    copy: pgbackrest_restore.Copy | None = None
    replayed_bytes: int | None = None
    replay_seconds: float | None = None
    replay_rate: float | None = None
    """Bytes of WAL per second, from the first record to the last."""
    rto_seconds: float | None = None
    newest_beat: datetime | None = None
    """The newest heartbeat that was recovered."""
    loss: timedelta | None = None
    assurance_seconds: float | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the disaster was declared."""
        return time.monotonic() - self._began

    def answer(self, one: Verification) -> None:
        """Add an answer, in place of an earlier one to the same question."""
        self.answers = [*(other for other in self.answers if other.name != one.name), one]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Whatever goes wrong inside is the answer to ``name``, and the end."""
        try:
            yield
        except OpsError as error:
            raise _Stopped(_blame(name, error)) from None
        except psycopg.Error as error:
            raise _Stopped(unknown(name, describe(error))) from None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - began


@dataclass(frozen=True)
class Manner:
    """How an exercise restores. An emergency takes all that the archive has and may archive again."""

    frozen: bool = True
    archive_mode: str | None = "off"
    beside: bool = True
    """The source may be alive on this host: its tablespaces are its own."""


def rehearse(
    ctx: BackupContext,
    here: Workspace,
    scenario: str,
    knowledge: Knowledge,
    t0: datetime,
    log: Log,
    progress: Progress,
    manner: Manner = Manner(),
) -> Rehearsal:
    """Restore and verify in ``here``; the server is stopped at the end. Never raises for a bad backup.

    What could not be asked is ``unknown``; interruptions and bugs go through.
    """
    done = Rehearsal(t0)
    try:
        with done.step("backup_selected"), done.phase("select"):
            reader = workspace.open_reader(ctx, here)
            done.plan = plan = knowledge.plan(reader)
            workspace.require_space(here.data_dir, plan.backup_set.size_bytes + plan.wal_bytes)
            done.answer(verdict("backup_selected", True, f"{plan.note}; target: {plan.target}"))
        log(f"restoring set {plan.backup_set.label} ({plan.note}) to {plan.target}")
        with done.step("restored"), done.phase("restore"):
            done.copy = copy = pgbackrest_restore.restore(
                reader,
                plan.backup_set,
                plan.target,
                plan.timeline,
                log,
                progress,
                archive_mode=manner.archive_mode,
                tablespaces=here.tablespaces if manner.beside else None,
            )
            size, rate = copy.size_bytes / 1e6, copy.rate / 1e6
            said = f"{size:.1f} MB in {copy.seconds:.1f} s, the bulk at {rate:.1f} MB/s"
            done.answer(verdict("restored", True, said, bytes=copy.size_bytes))
        with done.step("recovered_and_promoted"):
            server = server_of(ctx, here)
            gate = pgbackrest_restore.frozen_archive(reader, here, plan.geometry, plan.last_segment)
            with server.running(gate if manner.frozen else {}):
                _recover(done, server)
                _ask(done, server, plan, knowledge, log)
        with done.phase("assurance"):
            done.answers += climb(knowledge.questions.stopped(server), log)
        done.assurance_seconds = done.elapsed
    except _Stopped as stop:
        log(f"{stop.answer.name}: {stop.answer.summary}")
        done.answer(stop.answer)
    done.answers += [one for one in missing(done.answers, scenario) if one.name not in (*RUN, *SPEED)]
    return done


def _recover(done: Rehearsal, server: RestoredServer) -> None:
    """Follow recovery to its end. Replay ends when the log says so; the rest until writes is promotion."""
    began = time.monotonic()
    server.wait_promoted(RECOVERY_SECONDS)
    seen, now, whole = server.recovery(), datetime.now(UTC), time.monotonic() - began
    promotion = 0.0 if seen.replayed_at is None else max(0.0, (now - seen.replayed_at).total_seconds())
    done.replay_seconds = max(0.0, whole - promotion)
    done.replayed_bytes = seen.replayed_bytes
    if seen.redo_seconds > 0:
        done.replay_rate = seen.replayed_bytes / seen.redo_seconds
    done.phases["replay"], done.phases["promote"] = done.replay_seconds, whole - done.replay_seconds


def _ask(done: Rehearsal, server: RestoredServer, plan: Plan, knowledge: Knowledge, log: Log) -> None:
    source, questions = knowledge.source, knowledge.questions
    with done.phase("tombstones"):
        done.answers += climb([("tombstones", lambda: questions.tombstones(server))], log)
    with done.phase("critical"):
        done.answers += climb(recovery_checks.rungs(server, source, plan, knowledge.expected(plan)), log)
        done.newest_beat = recovery_checks.newest_beat(server, source)
        # To the end of the archive: as far as the heartbeats came.
        moment = plan.target.moment or done.newest_beat or plan.backup_set.completed_at
        done.answers += climb(questions.critical(server, plan, moment), log)
        if recovery_checks.recovered(server).passed:
            done.rto_seconds = done.elapsed
    done.loss = recovery_checks.loss(plan, done.t0, done.newest_beat, source)
    with done.phase("assurance"):
        done.answers += climb(questions.assurance(server, plan, moment), log)


def _blame(name: str, error: OpsError) -> Verification:
    """Damage fails; a system that is away or a wrong setting leaves it unknown."""
    if isinstance(error, PgBackRestError):
        away = error.exit_code == MEND or error.code is None
        return unknown(name, str(error)) if away else failed(name, str(error))
    if isinstance(error, Unavailable | ConfigurationError):
        return unknown(name, str(error))
    return failed(name, str(error))


def server_of(ctx: BackupContext, here: Workspace) -> RestoredServer:
    """The server for a restored data directory; not started."""
    launcher = workspace.launcher(ctx)
    return RestoredServer(here, programs.find(_major(here), launcher), launcher)


def _major(here: Workspace) -> str:
    try:
        return (here.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CheckFailed("the restored directory has no readable PG_VERSION: restore another set") from None
