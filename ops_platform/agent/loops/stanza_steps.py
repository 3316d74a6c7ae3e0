"""Steps of the loops of one stanza: heartbeats, their positions, recovery point, archive gaps, archiver.

Each class has a ``step`` for a loop, which writes facts into the stanza's state; they are computed in
``backup``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ops_platform.agent.loops.archive_tail import ArchiveTail
from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.agent.loops.window_watch import WindowWatch
from ops_platform.agent.metrics import StanzaState, summarise_sets
from ops_platform.backup.monitoring import Observation, archiver, observe
from ops_platform.backup.proof import FilesLook
from ops_platform.backup.recovery_point import Heartbeat, heartbeat, rpo
from ops_platform.backup.repository import ArchiveReader, Repository
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import preflight
from ops_platform.backup.wal import ArchiveState
from ops_platform.errors import OpsError

REMEMBERED_HEARTBEATS = 10_000
"""About a day: for so long the process knows the recovery point without the ops database."""
FILES_SECONDS = 300.0
"""Pause between looks at the stored files of the sets."""
RELIST_SECONDS = 6 * 3600.0
"""Pause between listings of the whole archive, which find segments that somebody deleted."""

Context = Callable[[], BackupContext]


class RecentHeartbeats:
    """Heartbeats of one stanza that this process wrote; its loops share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: deque[Heartbeat] = deque(maxlen=REMEMBERED_HEARTBEATS)
        self._unrecorded: deque[Heartbeat] = deque(maxlen=REMEMBERED_HEARTBEATS)

    def add(self, heartbeat: Heartbeat) -> None:
        """Remember a heartbeat whose position is not recorded yet."""
        with self._lock:
            self._written.appendleft(heartbeat)
            self._unrecorded.append(heartbeat)

    def newest_first(self) -> list[Heartbeat]:
        """List all remembered heartbeats."""
        with self._lock:
            return list(self._written)

    def unrecorded(self) -> list[Heartbeat]:
        """List the heartbeats whose position is not in the ops database yet, oldest first."""
        with self._lock:
            return list(self._unrecorded)

    def mark_recorded(self, heartbeats: list[Heartbeat]) -> None:
        """Note that the positions of ``heartbeats`` are in the ops database."""
        recorded = set(heartbeats)
        with self._lock:
            self._unrecorded = deque(
                (heartbeat for heartbeat in self._unrecorded if heartbeat not in recorded),
                maxlen=REMEMBERED_HEARTBEATS,
            )


class HeartbeatWriter:
    """Writer of heartbeats into the stanza's database. It needs nothing else, so nothing else can stop it."""

    def __init__(self, server: ReconnectingSession, heartbeats: RecentHeartbeats, state: StanzaState) -> None:
        self._server, self._heartbeats, self._state = server, heartbeats, state

    def step(self) -> None:
        """Write one heartbeat. Raises Unavailable when the server is away."""
        began = datetime.now(UTC)
        with self._server.use() as connection:
            written = heartbeat.write_heartbeat(connection)
        self._heartbeats.add(written)
        self._state.heartbeat_at.put(written.at.timestamp())
        self._state.clock_skew.put(clock_skew(written.at, began, datetime.now(UTC)))


def clock_skew(at: datetime, began: datetime, ended: datetime) -> float:
    """Compute the seconds that a server's clock is ahead of ours; behind is negative.

    The server read ``at`` between ``began`` and ``ended`` of our clock. The least difference that explains
    it counts, so that a slow answer is none.
    """
    if at > ended:
        return (at - ended).total_seconds()
    return min(0.0, (at - began).total_seconds())


class PositionRecorder:
    """Recorder of heartbeats' positions in the ops database; it catches up after an outage."""

    def __init__(self, ops: ReconnectingSession, heartbeats: RecentHeartbeats, stanza: str) -> None:
        self._ops, self._heartbeats, self._stanza = ops, heartbeats, stanza

    def step(self) -> None:
        """Record the missing positions. Raises Unavailable when the ops database is away."""
        unrecorded = self._heartbeats.unrecorded()
        if not unrecorded:
            return
        with self._ops.use() as connection:
            for written in unrecorded:
                heartbeat.record_position(connection, self._stanza, written)
        self._heartbeats.mark_recorded(unrecorded)


class RecoveryPointWatch:
    """Watch on the repository: its sets, and the newest heartbeat that its contiguous archive covers."""

    def __init__(
        self, context: Context, ops: ReconnectingSession, heartbeats: RecentHeartbeats, state: StanzaState
    ) -> None:
        self._context, self._ops, self._heartbeats, self._state = context, ops, heartbeats, state
        self._tail: ArchiveTail | None = None

    def step(self) -> None:
        """Read the sets and the recovery point. Raises Unavailable or PgBackRestError."""
        context = self._context()
        self._tail = self._tail or ArchiveTail(context.pgbackrest)
        asked = self._state.archiving.archiver.get()
        try:
            # pgBackRest itself retries an address where nobody answers for minutes.
            preflight.reach_endpoint(context)
            repository = Repository.parse(context.stanza.name, context.pgbackrest.info())
            repository = repository.with_damage(self._state.damage.get() or {})
            tail = self._tail.look(repository)
        except OpsError:
            self._state.repository_up.put(False)
            raise
        self._state.repository_up.put(True)
        if tail is not None and tail.end is not None:
            self._state.archiving.archive_seen(tail.end, asked)
        self._state.sets.put(summarise_sets(repository, None if tail is None else tail.lineage))
        self._update_recovery_point(context.stanza.name, None if tail is None else tail.state)

    def _update_recovery_point(self, stanza: str, state: ArchiveState | None) -> None:
        if state is None:
            self._state.recovery_point.forget()
            return
        # The heartbeats in memory decide alone when they can: the ops database may be away.
        covered = rpo.newest_covered(state, self._heartbeats.newest_first())
        if covered is None:
            with self._ops.use() as connection:
                covered = rpo.newest_covered(state, rpo.heartbeats(connection, stanza))
        if covered is None:
            self._state.recovery_point.forget()
        else:
            self._state.recovery_point.put(covered.at.timestamp())


class FilesWatch:
    """Watch on the stored files of the sets: every five minutes, and when there are other sets."""

    def __init__(self, state: StanzaState) -> None:
        self._state = state
        self._look: FilesLook | None = None
        self._looked_at = 0.0
        self._labels: frozenset[str] = frozenset()
        self._damage: Mapping[str, str] = {}

    def damage_of(self, context: BackupContext, repository: Repository) -> Mapping[str, str]:
        """Tell which sets lack files: label -> what is missing. Raises PgBackRestError."""
        labels = frozenset(backup_set.label for backup_set in repository.sets)
        if labels != self._labels or time.monotonic() - self._looked_at > FILES_SECONDS:
            self._look = self._look or FilesLook.of(context)
            faults = self._look.damaged(labels) if labels else {}
            self._damage = {label: found.summary for label, found in faults.items()}
            self._labels, self._looked_at = labels, time.monotonic()
        self._state.damage.put(self._damage)
        self._state.incomplete_sets.put(len(repository.with_damage(self._damage).unrepaired()))
        return self._damage


class ArchiveGapWatch:
    """Watch on the whole archive, listed incrementally, for missing segments; keeps the last observation."""

    def __init__(self, context: Context, state: StanzaState, window: WindowWatch) -> None:
        self._context, self._state, self._window = context, state, window
        self._files = FilesWatch(state)
        self._reader: ArchiveReader | None = None
        self._listed_at = 0.0
        self.latest: Observation | None = None
        """``WalHours`` makes its rows of it."""

    def step(self) -> None:
        """Count the missing segments. Raises Unavailable or PgBackRestError."""
        context = self._context()
        self._reader = self._reader or ArchiveReader(context.pgbackrest)
        if time.monotonic() - self._listed_at > RELIST_SECONDS:
            self.latest = None
        try:
            preflight.reach_endpoint(context)
        except OpsError:
            # Noted here too: a pgBackRest that runs already goes on trying for minutes.
            self._state.repository_up.put(False)
            raise
        recorded = self._window.before(context.stanza.name)
        observation = observe(
            context, self._reader, self.latest, lambda repository: self._files.damage_of(context, repository)
        )
        if self.latest is None:
            self._listed_at = time.monotonic()
        self.latest = observation
        if observation.gap_segments is None:
            # Without a set no segment is needed, so none is missing.
            self._state.wal_gap.forget()
        else:
            self._state.wal_gap.put(observation.gap_segments)
        self._window.after(context.stanza.name, observation, recorded)


class ArchiverWatch:
    """Watch on the archiver of the stanza's server."""

    def __init__(self, server: ReconnectingSession, state: StanzaState) -> None:
        self._server, self._state = server, state

    def step(self) -> None:
        """Read the archiver's statistics and settings. Raises Unavailable when the server is away."""
        try:
            with self._server.use() as connection:
                seen = archiver.read(connection)
        except OpsError:
            self._state.database_up.put(False)
            raise
        self._state.database_up.put(True)
        self._state.archiving.server_seen(seen)
