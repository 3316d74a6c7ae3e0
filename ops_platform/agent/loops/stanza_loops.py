"""The loops of the stanzas: those that ask a server, and those that look into each of its repositories.

They share the threads of two crews: a repository that is away must not hold up a heartbeat.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from ops_platform.agent.loops.index_watch import IndexWatch
from ops_platform.agent.loops.lock_watch import LockWatch
from ops_platform.agent.loops.place_watch import PlaceWatch
from ops_platform.agent.loops.sessions import Sessions, database_loop
from ops_platform.agent.loops.stanza_steps import (
    ArchiverWatch,
    FilesWatch,
    HeartbeatWriter,
    PositionRecorder,
    RecentHeartbeats,
    RepositoryWatch,
)
from ops_platform.agent.loops.wal_hours import WalHours
from ops_platform.agent.loops.window_watch import WindowWatch
from ops_platform.agent.metrics import StanzaState
from ops_platform.agent.state import REFRESHES_PER_LOOK
from ops_platform.agent.supervised_loop import Loop
from ops_platform.backup.recovery_point import heartbeat
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupConfig, BackupContext, open_context
from ops_platform.settings import Settings

SERVERS, REPOSITORIES = "servers", "repositories"
CREWS: Mapping[str, int] = {SERVERS: 8, REPOSITORIES: 8}
"""The threads that share the loops of all stanzas."""
WAL_HOURS_SECONDS = 60.0
PRUNE_SECONDS = 300.0
REPOSITORY_PATIENCE_SECONDS = 240.0
"""pgBackRest gives up on a repository after about two minutes by itself."""


class StanzaLoops:
    """Makes the loops of every stanza of backups.yaml; they write into ``states``."""

    def __init__(
        self, settings: Settings, config: BackupConfig, sessions: Sessions, states: Mapping[str, StanzaState]
    ) -> None:
        self._settings = settings
        self._config = config
        self._sessions = sessions
        self._states = states

    def loops(self) -> list[Loop]:
        """Make them all; a server's are shared by its repositories."""
        loops = []
        for name, stanza in self._config.clusters.items():
            heartbeats = RecentHeartbeats()
            loops += self._of_cluster(name, heartbeats)
            for sibling in self._config.siblings(stanza):
                loops += self._of_repository(sibling.name, heartbeats)
        # The first round of many takes a while, and without heartbeats nothing can be said to be recoverable.
        return sorted(loops, key=lambda loop: not loop.name.startswith("heartbeat/"))

    def _of_cluster(self, stanza: str, heartbeats: RecentHeartbeats) -> list[Loop]:
        agent, states = self._settings.agent, self._states
        siblings = self._config.siblings(self._config.stanzas[stanza])
        heartbeat_session = self._sessions.of_stanza(stanza, "agent heartbeat")
        archiver_session = self._sessions.of_stanza(stanza, "agent server")
        positions = self._sessions.shared()
        prune_session, prune_ops = self._sessions.of_stanza(stanza, "agent prune"), self._sessions.shared()
        lifetime = max(
            set_lifetime.companion_lifetime(sibling, self._config.repository_of(sibling))
            for sibling in siblings
        )

        def prune() -> None:
            # Opened anew each time: it is idle for minutes, on every server.
            with prune_session.use() as server, prune_ops.use() as ops:
                heartbeat.prune(server, ops, stanza, lifetime)
            prune_session.close()

        others = [states[sibling.name].archiving for sibling in siblings if sibling.name != stanza]
        return [
            database_loop(
                f"heartbeat/{stanza}",
                agent.heartbeat_seconds,
                HeartbeatWriter(heartbeat_session, heartbeats, states[stanza]).step,
                heartbeat_session,
                crew=SERVERS,
            ),
            database_loop(
                f"positions/{stanza}",
                agent.heartbeat_seconds,
                PositionRecorder(positions, heartbeats, stanza).step,
                positions,
                crew=SERVERS,
            ),
            database_loop(
                f"server/{stanza}",
                agent.refresh_seconds,
                ArchiverWatch(self._context(stanza), archiver_session, states[stanza], others).step,
                archiver_session,
                crew=SERVERS,
            ),
            database_loop(f"prune/{stanza}", PRUNE_SECONDS, prune, prune_session, prune_ops, crew=SERVERS),
        ]

    def _of_repository(self, stanza: str, heartbeats: RecentHeartbeats) -> list[Loop]:
        agent, state, context = self._settings.agent, self._states[stanza], self._context(stanza)
        recovery, hours, records = (self._sessions.shared() for _ in range(3))
        look_seconds = REFRESHES_PER_LOOK * agent.refresh_seconds
        window = WindowWatch(records, state.window)
        repository = RepositoryWatch(context, recovery, heartbeats, state, window, look_seconds)
        return [
            Loop(
                f"recovery/{stanza}",
                agent.refresh_seconds,
                repository.step,
                patience=REPOSITORY_PATIENCE_SECONDS,
                cut=_all(recovery.cut, records.cut),
                crew=REPOSITORIES,
            ),
            database_loop(
                f"wal-hours/{stanza}",
                WAL_HOURS_SECONDS,
                WalHours(stanza, hours, lambda: repository.latest).step,
                hours,
                crew=SERVERS,
            ),
            Loop(
                f"files/{stanza}",
                look_seconds,
                FilesWatch(context, state, lambda: repository.latest).step,
                patience=REPOSITORY_PATIENCE_SECONDS,
                crew=REPOSITORIES,
            ),
            Loop(
                f"index/{stanza}",
                look_seconds,
                IndexWatch(context, state.index, repository.index_etag).step,
                patience=REPOSITORY_PATIENCE_SECONDS,
                crew=REPOSITORIES,
            ),
            Loop(
                f"lock/{stanza}",
                look_seconds,
                LockWatch(context, state, lambda: repository.latest).step,
                patience=REPOSITORY_PATIENCE_SECONDS,
                crew=REPOSITORIES,
            ),
            Loop(
                f"place/{stanza}",
                look_seconds,
                PlaceWatch(context, state, lambda: repository.latest).step,
                patience=REPOSITORY_PATIENCE_SECONDS,
                crew=REPOSITORIES,
            ),
        ]

    def _context(self, stanza: str) -> Callable[[], BackupContext]:
        opened: list[BackupContext] = []
        lock = threading.Lock()

        def context() -> BackupContext:
            # Opened in the loop: a missing setting fails it and does not keep the agent from starting.
            with lock:
                if not opened:
                    opened.append(open_context(self._settings, stanza))
                return opened[0]

        return context


def _all(*cuts: Callable[[], None]) -> Callable[[], None]:
    def cut() -> None:
        for one in cuts:
            one()

    return cut
