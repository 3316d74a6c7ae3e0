"""What the agent does for one stanza: beat, keep the beats' positions, look at archive and server.

Each class has a ``step`` for a loop. What is learnt goes into the stanza's knowledge; how it is
computed is in ``backup``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from ops_platform.agent.loops.archive_tail import ArchiveTail
from ops_platform.agent.loops.reconnecting_session import Link
from ops_platform.agent.metrics import StanzaKnowledge, archiver_seen, sets_seen
from ops_platform.backup.monitoring import Observation, observe
from ops_platform.backup.recovery_point import Beat, heartbeat, rpo
from ops_platform.backup.repository import ArchiveReader, Repository
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import preflight
from ops_platform.backup.wal import ArchiveState
from ops_platform.errors import OpsError

REMEMBERED_BEATS = 10_000
"""About a day of them: that long the process can tell the recovery point without the ops database."""
RELIST_SECONDS = 6 * 3600.0
"""How often the whole archive is listed anew: segments that somebody deleted are found."""

Context = Callable[[], BackupContext]


class Beats:
    """The beats of one stanza that this process wrote; shared by the loops of the stanza."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: deque[Beat] = deque(maxlen=REMEMBERED_BEATS)
        self._waiting: deque[Beat] = deque(maxlen=REMEMBERED_BEATS)

    def add(self, beat: Beat) -> None:
        with self._lock:
            self._written.appendleft(beat)
            self._waiting.append(beat)

    def newest_first(self) -> list[Beat]:
        with self._lock:
            return list(self._written)

    def waiting(self) -> list[Beat]:
        """Those whose position is not in the ops database yet, oldest first."""
        with self._lock:
            return list(self._waiting)

    def recorded(self, beats: list[Beat]) -> None:
        done = set(beats)
        with self._lock:
            self._waiting = deque(
                (beat for beat in self._waiting if beat not in done), maxlen=REMEMBERED_BEATS
            )


class Heartbeat:
    """Writes a beat into the stanza's database. Needs nothing else, so nothing else can stop it."""

    def __init__(self, server: Link, beats: Beats, known: StanzaKnowledge) -> None:
        self._server, self._beats, self._known = server, beats, known

    def step(self) -> None:
        with self._server.use() as connection:
            beat = heartbeat.strike(connection)
        self._beats.add(beat)
        self._known.heartbeat_at.put(beat.at.timestamp())


class Positions:
    """Brings the positions of written beats into the ops database, late ones too."""

    def __init__(self, ops: Link, beats: Beats, stanza: str) -> None:
        self._ops, self._beats, self._stanza = ops, beats, stanza

    def step(self) -> None:
        waiting = self._beats.waiting()
        if not waiting:
            return
        with self._ops.use() as connection:
            for beat in waiting:
                heartbeat.remember(connection, self._stanza, beat)
        self._beats.recorded(waiting)


class Recovery:
    """Looks at the repository: its sets, and the newest beat that its contiguous archive covers."""

    def __init__(self, context: Context, ops: Link, beats: Beats, known: StanzaKnowledge) -> None:
        self._context, self._ops, self._beats, self._known = context, ops, beats, known
        self._tail: ArchiveTail | None = None

    def step(self) -> None:
        context = self._context()
        self._tail = self._tail or ArchiveTail(context.pgbackrest)
        try:
            # pgBackRest itself tries an address where nobody is for minutes.
            preflight.reach_endpoint(context)
            repository = Repository.parse(context.stanza.name, context.pgbackrest.info())
            state = self._tail.state(repository)
        except OpsError:
            self._known.repository_up.put(False)
            raise
        self._known.repository_up.put(True)
        self._known.sets.put(sets_seen(repository))
        self._tell(context.stanza.name, state)

    def _tell(self, stanza: str, state: ArchiveState | None) -> None:
        if state is None:
            self._known.recovery_point.forget()
            return
        # The beats in memory decide alone when they can: the ops database may be away.
        now = datetime.now(UTC)
        point = rpo.recovery_point(state, self._beats.newest_first(), now)
        if point is None:
            with self._ops.use() as connection:
                point = rpo.recovery_point(state, rpo.beats(connection, stanza), now)
        if point is None:
            self._known.recovery_point.forget()
        else:
            self._known.recovery_point.put(point.beat_at.timestamp())


class Gaps:
    """Lists the whole archive, incrementally, for what is missing in it. Keeps the last look."""

    def __init__(self, context: Context, known: StanzaKnowledge) -> None:
        self._context, self._known = context, known
        self._reader: ArchiveReader | None = None
        self._listed_at = 0.0
        self.latest: Observation | None = None
        """What ``WalHours`` makes its rows from."""

    def step(self) -> None:
        context = self._context()
        self._reader = self._reader or ArchiveReader(context.pgbackrest)
        if time.monotonic() - self._listed_at > RELIST_SECONDS:
            self.latest = None
        try:
            preflight.reach_endpoint(context)
        except OpsError:
            # Told here too: a pgBackRest that was on its way goes on trying for minutes.
            self._known.repository_up.put(False)
            raise
        seen = observe(context, self._reader, self.latest)
        if self.latest is None:
            self._listed_at = time.monotonic()
        self.latest = seen
        if seen.gap_segments is None:
            # Without a set there is nothing that a segment could be missing for.
            self._known.wal_gap.forget()
        else:
            self._known.wal_gap.put(seen.gap_segments)


class Server:
    """Asks the stanza's server how archiving goes."""

    def __init__(self, server: Link, known: StanzaKnowledge) -> None:
        self._server, self._known = server, known

    def step(self) -> None:
        try:
            with self._server.use() as connection:
                seen = archiver_seen(connection)
        except OpsError:
            self._known.database_up.put(False)
            raise
        self._known.database_up.put(True)
        self._known.archiver.put(seen)
