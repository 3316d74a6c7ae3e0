"""Locks on a stanza and its sets: session advisory locks in the ops database.

A database session holds the lock, so a holder that dies in any way frees it. pgBackRest's own
lock on the host stands behind these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ops_platform.backup.stanza.model import cluster_of
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable

ANNOUNCE_SECONDS = 60.0
SESSION_CHARACTERS = 63
"""PostgreSQL cuts the names of sessions off."""
# A worker whose host vanished without closing its connection is found dead within about a minute.
_KEEPALIVE = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"

_HOLDERS = """
SELECT a.application_name, a.pid, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = %s
"""


def backup_lock_name(stanza: str) -> str:
    """Name the lock of whoever takes, verifies or records a backup of the stanza, into whichever repository.

    pgBackRest itself lets one backup of a cluster run at a time.
    """
    return f"backup/{cluster_of(stanza)}"


def sets_lock_name(stanza: str) -> str:
    """Name the lock on the stanza's sets: shared while they are read, exclusive while some are removed."""
    return f"sets/{stanza}"


@contextmanager
def stanza_lock(
    ops_url: str,
    stanza: str,
    wait_seconds: float,
    log: Callable[[str], None],
    *,
    while_waiting: Callable[[], None] | None = None,
) -> Iterator[Connection]:
    """Hold the right to take, verify and record backups of a stanza; one holder at a time.

    Waits up to ``wait_seconds`` and logs who holds the lock. Raises Unavailable when the time is over, and
    what ``while_waiting`` raises, which is called when the lock is found held and every minute after that.
    """
    name, session = backup_lock_name(stanza), _session_name(stanza)
    with held(ops_url, name, wait_seconds, log, while_waiting=while_waiting, session=session) as connection:
        yield connection


@contextmanager
def sets_in_use(
    ops_url: str, stanza: str, wait_seconds: float, log: Callable[[str], None]
) -> Iterator[Connection]:
    """Keep a stanza's sets from being removed while they are read; any number of holders at a time.

    Waits and raises like ``stanza_lock``.
    """
    with held(ops_url, sets_lock_name(stanza), wait_seconds, log, shared=True) as connection:
        yield connection


@contextmanager
def sets_exclusive(
    ops_url: str, stanza: str, wait_seconds: float, log: Callable[[str], None]
) -> Iterator[Connection]:
    """Hold the right to remove sets of a stanza; nobody reads them meanwhile.

    Waits and raises like ``stanza_lock``.
    """
    with held(ops_url, sets_lock_name(stanza), wait_seconds, log, shared=False) as connection:
        yield connection


def is_free(connection: Connection, name: str) -> bool:
    """Tell whether nobody holds the lock of this name now, without taking it."""
    return not _holders(connection, name)


def holds_backup_lock(connection: Connection, stanza: str) -> bool:
    """Tell whether the backup that runs now is of this stanza, not of its cluster in the other repository."""
    rows = connection.execute(_HOLDERS, (postgres.lock_key(backup_lock_name(stanza)),)).fetchall()
    return any(row["application_name"] == _session_name(stanza) for row in rows)


def is_held(ops_url: str, stanza: str) -> bool:
    """Tell whether a backup of the stanza runs now, on any host."""
    with postgres.session(ops_url, autocommit=True) as connection:
        return bool(_holders(connection, backup_lock_name(stanza)))


@contextmanager
def held(
    ops_url: str,
    name: str,
    wait_seconds: float,
    log: Callable[[str], None],
    *,
    shared: bool = False,
    while_waiting: Callable[[], None] | None = None,
    session: str | None = None,
) -> Iterator[Connection]:
    """Hold a lock of any name while the block runs; ``session`` is what others see as its holder.

    Raises Unavailable when another session still holds it after ``wait_seconds``; ``while_waiting`` as in
    ``stanza_lock``.
    """
    session = session or f"ops-platform {name}"
    with postgres.session(ops_url, application=session, autocommit=True) as connection:
        connection.execute(_KEEPALIVE)
        _take(connection, name, wait_seconds, log, shared, while_waiting)
        try:
            yield connection
        finally:
            postgres.unlock_quietly(connection, name, shared=shared)


def _session_name(stanza: str) -> str:
    return f"ops-platform backup/{stanza}"[:SESSION_CHARACTERS]


def _take(
    connection: Connection,
    name: str,
    wait_seconds: float,
    log: Callable[[str], None],
    shared: bool,
    while_waiting: Callable[[], None] | None,
) -> None:
    announced = -ANNOUNCE_SECONDS

    # Polled, since a session that waits inside the server holds back vacuum there for hours.
    def taken() -> bool:
        nonlocal announced
        if postgres.try_lock(connection, name, shared=shared):
            return True
        if time.monotonic() - announced >= ANNOUNCE_SECONDS:
            announced = time.monotonic()
            log(f"waiting for the lock {name}, held by {', '.join(_holders(connection, name)) or 'somebody'}")
            if while_waiting is not None:
                while_waiting()
        return False

    try:
        wait_until(taken, wait_seconds, name, interval=0.5)
    except Unavailable:
        holders = ", ".join(_holders(connection, name)) or "somebody"
        raise Unavailable(
            f"the lock {name} is held by {holders}: wait for its end, or terminate that run"
        ) from None


def _holders(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(_HOLDERS, (postgres.lock_key(name),)).fetchall()
    return [
        f"{row['application_name'] or 'a session'} (since {row['backend_start']:%Y-%m-%d %H:%M:%S} UTC)"
        for row in rows
    ]
