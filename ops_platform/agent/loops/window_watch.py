"""Watch on what vanishes: the recoverable window, and recorded sets that the repository does not list."""

from __future__ import annotations

import psycopg

from ops_platform.agent.loops.session_pool import Session
from ops_platform.agent.metrics import WindowState
from ops_platform.backup.monitoring import Observation, window
from ops_platform.backup.taking import recorded_sets
from ops_platform.errors import OpsError


class WindowWatch:
    """Watch on one stanza's sets, beside a listing of its archive."""

    def __init__(self, ops: Session, state: WindowState) -> None:
        self._ops, self._state = ops, state

    def before(self, stanza: str) -> frozenset[str] | None:
        """Name the sets to be found, before the repository is listed; None without the ops database."""
        try:
            with self._ops.use() as connection:
                self._state.history.put(recorded_sets.history(connection, stanza))
                return recorded_sets.expected(connection, stanza)
        except (OpsError, psycopg.Error):
            return None

    def after(self, stanza: str, seen: Observation, before: frozenset[str] | None) -> None:
        """Judge a listing by what was to be found ``before`` it."""
        self._state.window.put(window.restorable_window(seen))
        listed = [backup_set.label for backup_set in seen.repository.sets]
        try:
            if before is None:
                self._state.lost.forget()
            else:
                with self._ops.use() as connection:
                    self._state.lost.put(len(recorded_sets.lost(connection, stanza, before, listed)))
        except (OpsError, psycopg.Error):
            self._state.lost.forget()
