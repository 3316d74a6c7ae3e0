"""Precedence among backups of one cluster: a later one gives way to its own kind and to stronger ones.

A full of a large cluster takes more hours than any backup should wait for the stanza's lock.
"""

from __future__ import annotations

from collections.abc import Callable

from ops_platform.backup.stanza import KINDS, Kind, cluster_of, locks
from ops_platform.backup.taking import report_store
from ops_platform.clients import postgres
from ops_platform.errors import OpsError


class GaveWay(OpsError):
    """A scheduled backup was not taken, since one that precedes it runs; nothing was changed."""


def precedes(running: tuple[str, Kind], asked: tuple[str, Kind]) -> bool:
    """Tell whether a scheduled backup, a stanza and a kind, gives way to another one of its cluster.

    It does to a stronger one, and to its own kind in its own repository. For its own kind in the other
    repository it waits: of two schedules at one time the later would never have its turn.
    """
    rank, own = KINDS.index(running[1]), KINDS.index(asked[1])
    return cluster_of(running[0]) == cluster_of(asked[0]) and (
        rank < own or (rank == own and running[0] == asked[0])
    )


def running_backup(ops_url: str, stanza: str, kind: Kind) -> str | None:
    """Name the backup that runs now, on any host, and precedes one of ``kind``; None when there is none.

    An open report counts only while its own stanza holds the lock: the report of a run that died stays open
    until the next backup. Raises Unavailable when the ops database is away.
    """
    return _running(ops_url, stanza, lambda running: precedes(running, (stanza, kind)))


def running_elsewhere(ops_url: str, stanza: str) -> str | None:
    """Name the backup that runs now into the other repository of the cluster; None when none does.

    Raises Unavailable when the ops database is away.
    """
    return _running(ops_url, stanza, lambda running: running[0] != stanza)


def _running(ops_url: str, stanza: str, is_meant: Callable[[tuple[str, Kind]], bool]) -> str | None:
    with postgres.session(ops_url, autocommit=True) as connection:
        if locks.is_free(connection, locks.backup_lock_name(stanza)):
            return None
        for row in report_store.running(connection, stanza):
            if is_meant((row["stanza"], row["kind"])) and locks.holds_backup_lock(connection, row["stanza"]):
                of = "" if row["stanza"] == stanza else f" of {row['stanza']}"
                return f"a {row['kind']} backup{of} is running since {row['opened_at']:%Y-%m-%d %H:%M} UTC"
    return None


def give_way(ops_url: str, stanza: str, kind: Kind) -> None:
    """Raise GaveWay, with the reason, while a backup that precedes one of ``kind`` runs."""
    running = running_backup(ops_url, stanza, kind)
    if running is not None:
        raise GaveWay(f"{stanza}: {running}; the next {kind} takes what this one would have")
