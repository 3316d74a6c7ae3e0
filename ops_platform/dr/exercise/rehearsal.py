"""The inputs, the shared state and the measurements of one restore, in an exercise or for good.

A restore needs the repository and a workspace, but no ops database: what only that knows comes in as
``Knowledge``. Its phases are in ``drill``; locks, records and the scratch directory are the exercise's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.postgres import programs
from ops_platform.dr.inspection import Check, Verification
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore import (
    LiveRepository,
    Placement,
    RepositoryView,
    RestoredServer,
    Tablespace,
    Workspace,
    pgbackrest_restore,
    tablespace_map,
    workspace,
)
from ops_platform.dr.verification import Expected, Source
from ops_platform.errors import CheckFailed

Log = Callable[[str], None]
Progress = Callable[[float], None]
LIVE = LiveRepository()


class RestoreChecks(Protocol):
    """The checks of a restored cluster beyond its recovery."""

    def tombstones(self, server: RestoredServer) -> Verification:
        """Erase again the subjects who were erased since; runs first."""

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Return the checks that must pass before the cluster may take traffic.

        ``moment``: the time at which the copy is compared with the source.
        """

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Return the checks that run afterwards, while the server runs."""

    def stopped(self, server: RestoredServer) -> Sequence[Check]:
        """Return the checks of the data directory, for after the server was stopped cleanly."""


@dataclass(frozen=True)
class Knowledge:
    """What a restore needs to know and the repository cannot tell."""

    plan: Callable[[BackupContext], Plan]
    """Chooses set and target; takes the read-only view of the repository."""
    source: Source
    expected: Callable[[Plan], Expected | None]
    """The newest heartbeat that recovery must bring."""
    checks: RestoreChecks


@dataclass
class Rehearsal:
    """The results and measurements of one restore.

    ``phases``: seconds by phase. A measurement that was not reached is None, never zero.
    """

    t0: datetime
    results: list[Verification] = field(default_factory=list)
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

    def add(self, result: Verification) -> None:
        """Add the result of a check, replacing an earlier one of the same check."""
        self.results = [*(other for other in self.results if other.name != result.name), result]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to ``phases``, also when it raises."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - began


@dataclass(frozen=True)
class RestoreOptions:
    """The options of a restore; the defaults are those of an exercise.

    An emergency recovers all that the archive has, and may archive again.
    """

    freeze_archive: bool = True
    """Recover no segment that is archived after the plan was made."""
    archive_mode: str | None = "off"
    repository: RepositoryView = LIVE
    """The repository as it is, or as it was."""
    tablespaces: Mapping[str, Path] | None = None
    """Where tablespaces go, by name, OID or own directory; the others go to their own place if it is free.

    None: all go into the workspace, since the source may be alive on this host and use its own.
    """

    def place(self, tablespaces: Sequence[Tablespace], here: Workspace) -> Sequence[Placement]:
        """Choose the directories of a set's tablespaces. Raises ConfigurationError or CheckFailed."""
        if self.tablespaces is None:
            return tablespace_map.below(tablespaces, here.tablespaces)
        placements = tablespace_map.place(tablespaces, self.tablespaces, tablespace_map.beside(here.data_dir))
        tablespace_map.require_usable(here, placements)
        return placements


@dataclass(repr=False)
class Drill:
    """The state that the phases of one restore share.

    ``reader``, ``plan``, ``placements``, ``server`` and ``moment`` are set by the phases that find them;
    reading one before that raises AttributeError.
    """

    ctx: BackupContext
    here: Workspace
    knowledge: Knowledge
    options: RestoreOptions
    rehearsal: Rehearsal
    """The results and measurements so far."""
    log: Log
    progress: Progress
    until_end: ExitStack
    """Closed at the end of the drill, however it ends; holds the restored server."""
    reader: BackupContext = field(init=False)
    """The read-only view of the repository."""
    plan: Plan = field(init=False)
    placements: Sequence[Placement] = field(init=False)
    """The directories of the tablespaces."""
    server: RestoredServer = field(init=False)
    moment: datetime = field(init=False)
    """The time at which the copy is compared with the source."""


def server_of(ctx: BackupContext, here: Workspace) -> RestoredServer:
    """Make the server of a restored data directory, without starting it."""
    launcher = workspace.launcher(ctx)
    return RestoredServer(here, programs.find(_major(here), launcher), launcher)


def _major(here: Workspace) -> str:
    try:
        return (here.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CheckFailed("the restored directory has no readable PG_VERSION: restore another set") from None
