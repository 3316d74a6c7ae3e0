"""One restore, for an exercise or for good: what it is told, and what came of it.

Needs the repository and a workspace, no ops database: what only that knows comes in as
``Knowledge``. Its phases are in ``drill``; locks, records and the scratch directory are the exercise's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.postgres import programs
from ops_platform.dr.inspection import Check, Verification
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore import RestoredServer, Workspace, pgbackrest_restore, workspace
from ops_platform.dr.verification import Expected, Source
from ops_platform.errors import CheckFailed

Log = Callable[[str], None]
Progress = Callable[[float], None]


class Questions(Protocol):
    """What is asked of the restored cluster beyond its recovery."""

    def tombstones(self, server: RestoredServer) -> Verification:
        """Erase again whoever was erased; asked first."""

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Before it may take traffic. ``moment`` is what the source is compared at."""

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Afterwards, while it runs."""

    def stopped(self, server: RestoredServer) -> Sequence[Check]:
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


@dataclass(repr=False)
class Drill:
    """What the phases of one restore share. ``done`` is what came of it so far.

    ``reader``, ``plan``, ``server`` and ``moment`` are set by the phases that find them; reading one before
    that raises AttributeError.
    """

    ctx: BackupContext
    here: Workspace
    knowledge: Knowledge
    manner: Manner
    done: Rehearsal
    log: Log
    progress: Progress
    until_end: ExitStack
    """What is ended with the drill, however it ends: the restored server."""
    reader: BackupContext = field(init=False)
    """The read-only view of the repository."""
    plan: Plan = field(init=False)
    server: RestoredServer = field(init=False)
    moment: datetime = field(init=False)
    """What the source is compared at."""


def server_of(ctx: BackupContext, here: Workspace) -> RestoredServer:
    """The server for a restored data directory; not started."""
    launcher = workspace.launcher(ctx)
    return RestoredServer(here, programs.find(_major(here), launcher), launcher)


def _major(here: Workspace) -> str:
    try:
        return (here.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CheckFailed("the restored directory has no readable PG_VERSION: restore another set") from None
