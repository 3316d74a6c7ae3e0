"""Loop that asks the ledger bucket for its newest seal: the bucket judges the sealer and the database."""

from __future__ import annotations

from datetime import datetime

from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.agent.metrics import AuditMetrics, BucketState
from ops_platform.audit import newest_copy
from ops_platform.clients import object_store, postgres
from ops_platform.clients.object_store import ObjectStore
from ops_platform.settings import Settings


class CopyWatch:
    """Watch that lists the bucket once, and from then on what came after the newest seal that it saw."""

    def __init__(self, settings: Settings, state: AuditMetrics, ops: ReconnectingSession) -> None:
        self._settings, self._state, self._ops = settings, state, ops
        self._ledger: ObjectStore | None = None
        self._newest: tuple[int, datetime | None] = (0, None)

    def step(self) -> None:
        """Look. Raises ConfigurationError without a bucket, and what bucket and database raise."""
        self._ledger = self._ledger or object_store.from_settings(self._settings, "ledger")
        self._newest = newest_copy(self._ledger, self._newest[0]) or self._newest
        number, at = self._newest
        # The database afterwards: what is in the bucket was recorded by then, but for the newest of all.
        with self._ops.use() as connection:
            row = postgres.one_row(
                connection, "SELECT coalesce(max(number), 0) AS number FROM ONLY public.audit_seals"
            )
        self._state.bucket.put(BucketState(number, at, max(0, number - row["number"])))
