"""The database sessions of the agent's loops, each opened when its loop first needs it."""

from __future__ import annotations

from collections.abc import Callable

from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.agent.loops.session_pool import BorrowedSession, Session, SessionPool
from ops_platform.agent.supervised_loop import Loop
from ops_platform.backup.stanza import BackupConfig
from ops_platform.settings import Settings

DATABASE_PATIENCE_SECONDS = 30.0
SHARED_SESSIONS = 6
"""The number of sessions in the ops database that the loops of all stanzas share."""


class Sessions:
    """Makes sessions for loops and closes them all."""

    def __init__(self, settings: Settings, config: BackupConfig) -> None:
        """Connect to nothing. Raises ConfigurationError when no ops database is named."""
        self._settings = settings
        self._config = config
        self.ops_url = settings.require("database_url")
        self._made: list[ReconnectingSession] = []
        self._shared = SessionPool([self.of_ops("agent stanzas") for _ in range(SHARED_SESSIONS)])

    def of_ops(self, application: str) -> ReconnectingSession:
        """Make a session in the ops database."""
        return self._session(lambda: self.ops_url, application)

    def shared(self) -> BorrowedSession:
        """Make a session in the ops database that is one of SHARED_SESSIONS while it is in use."""
        return self._shared.session()

    def of_stanza(self, stanza: str, application: str) -> ReconnectingSession:
        """Make a session in the server of a stanza."""
        return self._session(lambda: self._config.stanzas[stanza].database_url(self._settings), application)

    def close(self) -> None:
        """Close all sessions."""
        for session in self._made:
            session.close()

    def _session(self, url: Callable[[], str], application: str) -> ReconnectingSession:
        session = ReconnectingSession(url, f"ops-platform {application}")
        self._made.append(session)
        return session


def database_loop(
    name: str, every: float, step: Callable[[], None], *sessions: Session, crew: str | None = None
) -> Loop:
    """Make a loop whose step is cut off by ending its sessions; ``every`` in seconds."""

    def cut() -> None:
        for session in sessions:
            session.cut()

    return Loop(name, every, step, patience=DATABASE_PATIENCE_SECONDS, cut=cut, crew=crew)
