"""The lock that the worker of a run holds in Dagster's own database, so that anybody can tell that it lives.

A session advisory lock: the server drops it when the worker's process or host is gone, in whatever way, and
keeps it for a worker that is only slow. Dagster's database needs no table for it, and the daemon no access to
another one. A pooler between them must pool sessions, not transactions.
Not here: what is done about a worker that is gone (``launcher``).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster_postgres.event_log import PostgresEventLogStorage

from ops_platform.clients import postgres
from ops_platform.defs.run_retries import WORKER_TAG
from ops_platform.errors import Unavailable

LOOK_SECONDS = 5.0
"""Pause between two looks of a worker at its own lock: a restart of the server takes it away."""
# A worker whose host vanished without closing its connection is found dead within about a minute.
_KEEPALIVE = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
_IS_HELD = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((classid::bigint << 32) | objid::bigint) = :key
"""
_ENDS = frozenset(
    {dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED}
)


class WorkerLock:
    """The lock of one run, held by this process until ``release``, over restarts of the server."""

    def __init__(self, engine: sa.Engine, run_id: str) -> None:
        """Take the lock. Raises Unavailable when another worker of the run lives."""
        self._engine = engine
        self._run_id = run_id
        self._connection: sa.Connection | None = None
        self._released = threading.Event()
        if not self._take():
            raise Unavailable(f"run {run_id} has a worker that lives: this second one does nothing")
        self._thread = threading.Thread(target=self._keep, name="worker-lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Let the lock go."""
        self._released.set()
        self._thread.join(LOOK_SECONDS)

    def _keep(self) -> None:
        while not self._released.wait(LOOK_SECONDS):
            try:
                if self._connection is None:
                    self._take()
                else:
                    self._connection.execute(sa.text("SELECT 1"))
            except sa.exc.SQLAlchemyError:
                self._drop()
        self._drop()

    def _take(self) -> bool:
        connection = self._engine.connect()
        try:
            connection.execute(sa.text(_KEEPALIVE))
            key = {"key": _key(self._run_id)}
            taken = bool(connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), key))
        except BaseException:
            connection.close()
            raise
        if taken:
            self._connection = connection
        else:
            connection.close()
        return taken

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            try:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _key(self._run_id)})
            except sa.exc.SQLAlchemyError:
                # Out of the pool: the next user of the session might hold the lock.
                connection.invalidate()
            connection.close()


class LockedEventLog(PostgresEventLogStorage):
    """Dagster's event log, which knows of each run whether its worker lives.

    A run is STARTED from the event on that its own worker stores: with the lock taken before it, no run is
    ever STARTED without one.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._locks: dict[str, WorkerLock] = {}

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; take the run's lock before it begins, and let it go when it has ended.

        Raises SystemExit for the begin of a run that has a worker.
        """
        kind = event.dagster_event.event_type if event.dagster_event is not None else None
        if kind is dg.DagsterEventType.RUN_START:
            self._locks[event.run_id] = self._lock(event.run_id)
            self._instance.add_run_tags(event.run_id, {WORKER_TAG: _this_process(event.run_id)})
        super().store_event(event)
        if kind in _ENDS and (lock := self._locks.pop(event.run_id, None)) is not None:
            lock.release()

    def _lock(self, run_id: str) -> WorkerLock:
        try:
            return WorkerLock(self._engine, run_id)
        except Unavailable as second:
            # Upon any other exception Dagster fails the run, which is the first one's.
            raise SystemExit(str(second)) from None

    def has_live_worker(self, run_id: str) -> bool:
        """Tell whether a worker holds the run's lock now."""
        with self._connect() as connection:
            return bool(connection.execute(sa.text(_IS_HELD), {"key": _key(run_id)}).scalar())


def worker_of(run: dg.DagsterRun) -> str | None:
    """Name host and process of a run's worker; None for one that may hold no lock, as before an update."""
    worker = run.tags.get(WORKER_TAG, "")
    return worker if worker.endswith(_mark(run.run_id)) else None


def _this_process(run_id: str) -> str:
    return f"{socket.gethostname()}:{os.getpid()}{_mark(run_id)}"


def _mark(run_id: str) -> str:
    # A retry inherits the tags of the run before it.
    return f"/{run_id[:8]}"


def _key(run_id: str) -> int:
    return postgres.lock_key(f"dagster-run/{run_id}")
