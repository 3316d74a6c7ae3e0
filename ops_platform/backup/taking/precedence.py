"""Precedence among backups of one stanza: a later one gives way to its own kind and to stronger ones.

A full of a large cluster takes more hours than any backup should wait for the stanza's lock.
"""

from __future__ import annotations

from ops_platform.backup.stanza import KINDS, Kind, locks
from ops_platform.backup.taking import report_store
from ops_platform.clients import postgres
from ops_platform.errors import OpsError


class GaveWay(OpsError):
    """A scheduled backup was not taken, since one that precedes it runs; nothing was changed."""


def preceding(kind: Kind) -> tuple[Kind, ...]:
    """List the kinds to which a scheduled backup of ``kind`` gives way: its own and the stronger ones."""
    return KINDS[: KINDS.index(kind) + 1]


def running_backup(ops_url: str, stanza: str, kind: Kind) -> str | None:
    """Name the backup that runs now, on any host, and precedes one of ``kind``; None when there is none.

    An open report counts only while the stanza's lock is held: the report of a run that died stays open
    until the next backup. Raises Unavailable when the ops database is away.
    """
    with postgres.session(ops_url, autocommit=True) as connection:
        if locks.is_free(connection, locks.backup_lock_name(stanza)):
            return None
        for row in report_store.running(connection, stanza):
            if row["kind"] in preceding(kind):
                return f"a {row['kind']} backup is running since {row['opened_at']:%Y-%m-%d %H:%M} UTC"
    return None


def give_way(ops_url: str, stanza: str, kind: Kind) -> None:
    """Raise GaveWay, with the reason, while a backup that precedes one of ``kind`` runs."""
    running = running_backup(ops_url, stanza, kind)
    if running is not None:
        raise GaveWay(f"{stanza}: {running}; the next {kind} takes what this one would have")
