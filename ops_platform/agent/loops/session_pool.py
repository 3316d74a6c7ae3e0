"""Sessions in one database that many loops share: each borrows one for its transaction."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.clients import postgres
from ops_platform.errors import Unavailable

WAIT_SECONDS = 10.0


class Session(Protocol):
    """A session as a loop uses it: its own, or one of a pool."""

    def use(self) -> AbstractContextManager[postgres.Connection]:
        """Lend the connection in a transaction. Raises Unavailable when the server is away."""

    def cut(self) -> None:
        """Make what waits for the server fail at once."""


class SessionPool:
    """Lends its sessions; the one that was given back last is lent first, so that others may rest."""

    def __init__(self, sessions: Sequence[ReconnectingSession]) -> None:
        self._free: queue.LifoQueue[ReconnectingSession] = queue.LifoQueue()
        for session in reversed(sessions):
            self._free.put(session)

    def session(self) -> BorrowedSession:
        """Make what one loop uses like a session of its own."""
        return BorrowedSession(self._free)


class BorrowedSession:
    """A session of a pool while it is in use; used by one thread at a time, ``cut`` from any."""

    def __init__(self, free: queue.LifoQueue[ReconnectingSession]) -> None:
        self._free = free
        self._held: ReconnectingSession | None = None

    @contextmanager
    def use(self) -> Iterator[postgres.Connection]:
        """Lend the connection in a transaction, as ``ReconnectingSession.use``.

        Raises Unavailable also when no session becomes free within WAIT_SECONDS.
        """
        try:
            session = self._free.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise Unavailable(
                "all sessions in the ops database are in use: is it slow? its log and pg_stat_activity say so"
            ) from None
        self._held = session
        try:
            with session.use() as connection:
                yield connection
        finally:
            self._held = None
            self._free.put(session)

    def cut(self) -> None:
        """Cut the session that is in use, if one is."""
        held = self._held
        if held is not None:
            held.cut()
