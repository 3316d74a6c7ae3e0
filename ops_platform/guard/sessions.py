"""Sessions of people in browsers, in this process's memory: a restart of the guard signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ops_platform.guard.accounts import Identity

MOST_SESSIONS = 1000


@dataclass
class Session:
    """A person who has signed in; times by the clock of the store, in seconds."""

    identity: Identity
    ends_at: float
    asked_at: float
    form_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Stands in the guard's forms: only a page of this session knows it."""
    reason: str | None = None
    reason_ends_at: float = 0.0


class Sessions:
    """All sessions, found by the hash of their token."""

    def __init__(self, clock: Callable[[], float], session_seconds: float, idle_seconds: float) -> None:
        self._clock, self._session_seconds, self._idle_seconds = clock, session_seconds, idle_seconds
        self._sessions: dict[bytes, Session] = {}
        self._lock = threading.Lock()

    def begin(self, identity: Identity) -> str:
        """Begin a session and return its token, 256 random bits. The oldest goes when there are too many."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._forget_ended(now)
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_key(token)] = Session(identity, now + self._session_seconds, now)
        return token

    def find(self, token: str) -> Session | None:
        """Find the live session of a token, which counts as asked for now; None when it is over."""
        now, key = self._clock(), _key(token)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if self._is_over(session, now):
                del self._sessions[key]
                return None
            session.asked_at = now
            return session

    def end(self, token: str) -> None:
        """End the session of a token, if it has one."""
        with self._lock:
            self._sessions.pop(_key(token), None)

    def is_live(self, session: Session) -> bool:
        """Tell whether a session that was found before still stands; it does not count as asked for."""
        with self._lock:
            stands = any(one is session for one in self._sessions.values())
        return stands and not self._is_over(session, self._clock())

    def give_reason(self, session: Session, reason: str, seconds: float) -> None:
        """Keep a reason for the changes of the next ``seconds``."""
        session.reason, session.reason_ends_at = reason, self._clock() + seconds

    def reason(self, session: Session) -> str | None:
        """Return the reason that counts now; None when there is none, or its time is over."""
        return session.reason if session.reason_ends_at > self._clock() else None

    def _is_over(self, session: Session, now: float) -> bool:
        return now >= session.ends_at or now - session.asked_at >= self._idle_seconds

    def _forget_ended(self, now: float) -> None:
        for key in [key for key, session in self._sessions.items() if self._is_over(session, now)]:
            del self._sessions[key]


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
