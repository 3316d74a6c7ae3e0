"""Steps of the loops of one stanza: heartbeats, their positions, repository, archiver.

Each class has a ``step`` for a loop, which writes facts into the stanza's state; they are computed in
``backup``.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from ops_platform.agent.loops.session_pool import Session
from ops_platform.agent.loops.window_watch import WindowWatch
from ops_platform.agent.metrics import ArchivingState, StanzaState, summarise_sets
from ops_platform.backup.monitoring import ArchiveEnd, Archiver, Observation, Observer, archiver, wal_disk
from ops_platform.backup.proof import OLDER_FILES_SECONDS, FilesLook
from ops_platform.backup.recovery_point import Heartbeat, heartbeat, rpo
from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import BackupContext, is_adopted
from ops_platform.backup.taking import preflight
from ops_platform.clients.pgbackrest import layout
from ops_platform.errors import ConfigurationError, OpsError

REMEMBERED_HEARTBEATS = 10_000
"""About a day: for so long the process knows the recovery point without the ops database."""
FILES_SECONDS = 300.0
"""Pause between looks at the stored files of the sets."""
NAMES_SECONDS = 900.0
"""Age at which folders and timelines are listed again, where each look sees by itself those that are new."""
NAMES_PER_LOOK = 1.5
"""Folders and timelines are listed at every second look, and when the server names one that is new."""

LOOKS_PER_LISTING = 3
"""So many looks rest on one listing of the archive while each segment is found by its own name."""

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

    def __init__(self, server: Session, heartbeats: RecentHeartbeats, state: StanzaState) -> None:
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

    def __init__(self, ops: Session, heartbeats: RecentHeartbeats, stanza: str) -> None:
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


class RepositoryWatch:
    """Watch on the repository: its sets, missing segments, and the newest heartbeat that can be recovered.

    It looks when the server says that it archived something, and once in ``look_seconds``: a listing costs
    money, and shows nothing new before. Where the server's own file of the segment can be read, its object is
    asked for by name, and the archive is listed at every third look. Keeps the last observation.
    """

    def __init__(
        self,
        context: Context,
        ops: Session,
        heartbeats: RecentHeartbeats,
        state: StanzaState,
        window: WindowWatch,
        look_seconds: float,
    ) -> None:
        self._context, self._ops, self._heartbeats, self._state = context, ops, heartbeats, state
        self._window, self._look_seconds = window, look_seconds
        self._observer: Observer | None = None
        self._looked: tuple[float, str | None] | None = None
        """When the last look began (monotonic seconds), and what the server had archived last by then."""
        self._listed_at = -math.inf
        self.latest: Observation | None = None
        """``WalHours`` makes its rows of it."""

    def step(self) -> None:
        """Look at the repository if a look is due. Raises Unavailable or PgBackRestError."""
        context, began = self._context(), time.monotonic()
        try:
            # pgBackRest itself retries an address where nobody answers for minutes.
            preflight.reach_endpoint(context)
            asked = self._state.archiving.archiver.get()
            named = None if asked is None else asked.last_archived_wal
            looked_at, looked_for = self._looked or (-math.inf, None)
            if looked_for == named and began - looked_at < self._look_seconds:
                return
            recorded = self._window.before(context.stanza.name)
            observation = self._look(context, asked)
        except OpsError:
            self._looked, self._listed_at = None, -math.inf
            self._state.repository_up.put(False)
            raise
        self._looked, self.latest = (began, named), observation
        if self._observer is None or self._observer.has_listed:
            self._listed_at = began
        self._state.repository_up.put(True)
        if observation.archive is not None:
            self._state.archiving.archive_seen(ArchiveEnd.whole(observation.archive), asked)
        lineage = None if observation.archive is None else observation.archive.lineage
        self._state.sets.put(summarise_sets(observation.repository, lineage))
        if observation.gap_segments is None:
            # Without a set no segment is needed, so none is missing.
            self._state.wal_gap.forget()
        else:
            self._state.wal_gap.put(observation.gap_segments)
        self._window.after(context.stanza.name, observation, recorded)
        self._update_recovery_point(context.stanza.name, observation)

    def index_etag(self) -> str | None:
        """Return the ETag of backup.info; None when the newest look was long ago or did not find it."""
        if self._observer is None or self._looked is None:
            return None
        if time.monotonic() - self._looked[0] > NAMES_PER_LOOK * self._look_seconds:
            return None
        return self._observer.index_etag

    def _look(self, context: BackupContext, asked: Archiver | None) -> Observation:
        self._observer = self._observer or Observer(context)
        age = self._state.archiving.archiver.age() or 0.0
        written = archiver.written(asked, datetime.now(UTC) - timedelta(seconds=age))
        names_age = NAMES_SECONDS
        if not self._observer.sees_what_is_new:
            names_age = 0.0 if self._is_somewhere_new(asked) else NAMES_PER_LOOK * self._look_seconds
        named = None if asked is None else asked.last_archived_wal
        is_young = time.monotonic() - self._listed_at < LOOKS_PER_LISTING * self._look_seconds
        return self._observer.look(
            written=written,
            names_age=names_age,
            arrived=named if is_young else None,
            damage_of=lambda repository: self._state.damage.get() or {},
            unreadable=self._state.reading.damaged_segments.get() or {},
        )

    def _is_somewhere_new(self, asked: Archiver | None) -> bool:
        """Tell whether the server archives into a folder that the last look did not know."""
        known = None if self.latest is None else self.latest.archive
        if known is None or asked is None or asked.last_archived_wal is None:
            return True
        return layout.folder_of(asked.last_archived_wal) not in known.folders

    def _update_recovery_point(self, stanza: str, observation: Observation) -> None:
        if observation.best is None:
            self._state.recovery_point.forget()
            return
        # The heartbeats in memory decide alone when they can: the ops database may be away.
        covered = rpo.newest_covered(observation.best[1], self._heartbeats.newest_first())
        if covered is None:
            with self._ops.use() as connection:
                covered = rpo.newest_covered(observation.best[1], rpo.heartbeats(connection, stanza))
        if covered is None:
            self._state.recovery_point.forget()
        else:
            self._state.recovery_point.put(covered.at.timestamp())


class FilesWatch:
    """Watch on the stored files of the sets: every five minutes, and when there are other sets."""

    def __init__(
        self, context: Context, state: StanzaState, latest: Callable[[], Observation | None]
    ) -> None:
        self._context, self._state, self._latest = context, state, latest
        self._look: FilesLook | None = None
        self._looked_at = -math.inf
        self._labels: frozenset[str] = frozenset()
        self._missing: Mapping[str, str] = {}

    def step(self) -> None:
        """Look at the files if a look is due. Raises Unavailable or PgBackRestError."""
        observation = self._latest()
        if observation is None:
            # At the start of the agent this loop does not wait for the other one's first look.
            context = self._context()
            preflight.reach_endpoint(context)
            repository = Repository.parse(context.stanza.name, context.pgbackrest.info())
        else:
            repository = observation.repository
        labels = frozenset(backup_set.label for backup_set in repository.sets)
        if labels != self._labels or time.monotonic() - self._looked_at > FILES_SECONDS:
            began = time.monotonic()
            self._look = self._look or FilesLook.of(self._context(), shares=True)
            faults = self._look.damaged(labels, older_age=OLDER_FILES_SECONDS) if labels else {}
            self._missing = {label: found.summary for label, found in faults.items()}
            self._labels, self._looked_at = labels, began
        damage = {**(self._state.reading.damaged_sets.get() or {}), **self._missing}
        self._state.damage.put(damage)
        self._state.incomplete_sets.put(len(repository.with_damage(damage).unrepaired()))


class ArchiverWatch:
    """Watch on the archiver of the stanza's server, and on the disk that fills when it fails."""

    def __init__(
        self,
        context: Context,
        server: Session,
        state: StanzaState,
        others: Sequence[ArchivingState] = (),
    ) -> None:
        """``others``: the archiving into the cluster's other repositories."""
        self._context, self._server, self._state, self._others = context, server, state, others

    def step(self) -> None:
        """Read the archiver's statistics and settings. Raises Unavailable when the server is away."""
        context = self._context()
        disk = wal_disk.look(context.stanza.data_dir(context.settings))
        if disk is None:
            # Of another host, where the server's configuration is, too.
            self._state.archiving.disk.forget()
            self._state.archiving.configured.forget()
        else:
            self._state.archiving.disk.put(disk)
            self._state.archiving.configured.put(_archives_as_asked(context))
        try:
            with self._server.use() as connection:
                seen = archiver.read(connection)
        except OpsError:
            self._state.database_up.put(False)
            raise
        self._state.database_up.put(True)
        for archiving in (self._state.archiving, *self._others):
            archiving.server_seen(seen)


def _archives_as_asked(context: BackupContext) -> bool:
    """Tell whether the server's configuration is the one that the settings ask for."""
    try:
        return is_adopted(context)
    except ConfigurationError:
        return False  # what they ask for is incomplete
