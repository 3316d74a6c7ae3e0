"""Store of what was read when: the rows of backup_stored_objects.

Each reading is committed by itself: a run that is killed loses the object that it was reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform.backup.proof.reading_plan import AHEAD, StoredItem
from ops_platform.backup.repository import BackupSet, Repository
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest import layout
from ops_platform.clients.postgres import Connection

PAGE = 500

_REGISTER = """
WITH seen AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(names)s::text[], %(sizes)s::bigint[],
                         %(times)s::timestamptz[]) AS listed (kind, holder, name, size_bytes, stored_at)
), gone AS (
    DELETE FROM backup_stored_objects AS known WHERE stanza = %(stanza)s AND NOT EXISTS (
        SELECT FROM seen WHERE seen.holder = known.holder AND seen.name = known.name)
)
INSERT INTO backup_stored_objects AS known (stanza, kind, holder, name, size_bytes, stored_at, due_at)
SELECT %(stanza)s, kind, holder, name, size_bytes, stored_at, stored_at + %(period)s FROM seen
-- Rows that stay as they are: ON CONFLICT would lock, and so write, each of them.
WHERE NOT EXISTS (
    SELECT FROM backup_stored_objects AS same
    WHERE same.stanza = %(stanza)s AND same.holder = seen.holder AND same.name = seen.name
          AND same.size_bytes = seen.size_bytes AND same.stored_at = seen.stored_at)
ON CONFLICT (stanza, holder, name) DO UPDATE
SET size_bytes = excluded.size_bytes, stored_at = excluded.stored_at, due_at = excluded.due_at,
    reads = 0, read_at = NULL
"""
_COLUMNS = "kind, holder, name, size_bytes AS size, stored_at, due_at, read_at"
_DUE = f"""
    SELECT {_COLUMNS} FROM backup_stored_objects
    WHERE stanza = %(stanza)s AND due_at <= %(until)s
          AND (due_at, holder, name) > (%(due)s, %(holder)s, %(name)s)
    ORDER BY due_at, holder, name LIMIT %(page)s
"""  # noqa: S608 - made of constants
_UNREAD = f"""
    SELECT {_COLUMNS} FROM backup_stored_objects
    WHERE stanza = %(stanza)s AND read_at IS NULL AND due_at > %(until)s
          AND (due_at, holder, name) > (%(due)s, %(holder)s, %(name)s)
    ORDER BY due_at, holder, name LIMIT %(page)s
"""  # noqa: S608
_SETS = """
    SELECT holder, min(read_at) AS read_at,
           bool_or(read_at IS NULL OR damage IS NOT NULL) AS unread
    FROM backup_stored_objects WHERE stanza = %s AND kind = 'set' GROUP BY holder
"""
_SEGMENTS = """
    SELECT min(read_at) AS read_at, coalesce(bool_or(read_at IS NULL OR damage IS NOT NULL), true) AS unread
    FROM backup_stored_objects
    WHERE stanza = %s AND holder = ANY(%s) AND left(name, 24) BETWEEN %s AND %s
"""
_SUMMARY = """
    SELECT (SELECT min(due_at) FROM backup_stored_objects WHERE stanza = %(stanza)s) AS due_at,
           (SELECT coalesce(sum(size_bytes), 0)::bigint FROM backup_stored_objects
            WHERE stanza = %(stanza)s AND read_at IS NULL)
           + (SELECT coalesce(sum(size_bytes), 0)::bigint FROM backup_stored_objects
              WHERE stanza = %(stanza)s AND due_at < now() AND read_at IS NOT NULL) AS unverified_bytes,
           (SELECT count(*) FROM backup_stored_objects
            WHERE stanza = %(stanza)s AND kind = 'set' AND damage IS NOT NULL) AS damaged_files,
           (SELECT count(*) FROM backup_stored_objects
            WHERE stanza = %(stanza)s AND kind = 'wal' AND damage IS NOT NULL) AS damaged_segments
"""
_OLDEST_SET = """
    SELECT min(read_at) AS read_at, bool_or(read_at IS NULL OR damage IS NOT NULL) AS unread
    FROM backup_stored_objects WHERE stanza = %(stanza)s AND holder = (
        -- Labels begin with a year: the folders of the archive, '15-1/...', come before it in the index.
        SELECT min(holder) FROM backup_stored_objects
        WHERE stanza = %(stanza)s AND kind = 'set' AND holder > '2000')
"""


@dataclass(frozen=True)
class Summary:
    """State of the readings of a stanza; times and bytes as of the newest inventory.

    ``due_at`` is when the next reading is due, None when nothing is known to be stored.
    ``oldest_verified_at``: since then every byte of the oldest set was found sound; None when one was not.
    """

    due_at: datetime | None
    unverified_bytes: int
    damaged_files: int
    damaged_segments: int
    oldest_verified_at: datetime | None


def register(connection: Connection, stanza: str, items: Sequence[StoredItem], counts_for: timedelta) -> None:
    """Take over a complete listing: what is new or overwritten is unread, what is gone is forgotten."""
    connection.execute(
        _REGISTER,
        {
            "stanza": stanza,
            "period": counts_for,
            "kinds": [item.kind for item in items],
            "holders": [item.holder for item in items],
            "names": [item.name for item in items],
            "sizes": [item.size for item in items],
            "times": [item.stored_at for item in items],
        },
    )


def to_read(
    connection: Connection, stanza: str, now: datetime, ahead: timedelta = AHEAD
) -> Iterator[StoredItem]:
    """Yield what to read, in the order of ``reading_plan.in_order``; page by page, each item once."""
    until = now + ahead
    for query in (_DUE, _UNREAD):
        due: Any = "-infinity"
        holder = name = ""
        while True:
            rows = connection.execute(
                query,
                {"stanza": stanza, "until": until, "due": due, "holder": holder, "name": name, "page": PAGE},
            ).fetchall()
            yield from (StoredItem(**row) for row in rows)
            if len(rows) < PAGE:
                break
            due, holder, name = rows[-1]["due_at"], rows[-1]["holder"], rows[-1]["name"]


def found_sound(
    connection: Connection, stanza: str, item: StoredItem, at: datetime, counts_for: timedelta
) -> None:
    """Note that every byte of the item was right at ``at``, unless it was overwritten since it was listed."""
    connection.execute(
        """
        UPDATE backup_stored_objects
        SET reads = reads + 1, read_at = %s, due_at = %s, damage = NULL, damaged_sets = '{}'
        WHERE stanza = %s AND holder = %s AND name = %s AND stored_at = %s
        """,
        (at, at + counts_for, stanza, item.holder, item.name, item.stored_at),
    )


def found_damaged(
    connection: Connection, stanza: str, item: StoredItem, damage: str, sets: Iterable[str]
) -> None:
    """Note what is wrong with the item, and which sets cannot be restored; it stays due."""
    connection.execute(
        """
        UPDATE backup_stored_objects SET damage = %s, damaged_sets = %s, due_at = least(due_at, now())
        WHERE stanza = %s AND holder = %s AND name = %s
        """,
        (damage, sorted(sets), stanza, item.holder, item.name),
    )


def damage(connection: Connection, stanza: str) -> list[tuple[str, list[str]]]:
    """List what the readings found wrong: (what, the sets that cannot be restored because of it)."""
    rows = connection.execute(
        "SELECT damage, damaged_sets FROM backup_stored_objects WHERE stanza = %s AND damage IS NOT NULL "
        "ORDER BY holder, name",
        (stanza,),
    )
    return [(row["damage"], row["damaged_sets"]) for row in rows]


def damaged_sets(connection: Connection, stanza: str) -> dict[str, str]:
    """Name the sets that cannot be restored: label -> the first thing that is wrong with it."""
    found: dict[str, str] = {}
    for what, labels in damage(connection, stanza):
        for label in labels:
            found.setdefault(label, what)
    return found


def damaged_segments(connection: Connection, stanza: str) -> dict[str, dict[str, str]]:
    """Name the segments that cannot be read: archive id of their cluster -> segment -> what is wrong."""
    rows = connection.execute(
        "SELECT holder, name, damage FROM backup_stored_objects "
        "WHERE stanza = %s AND kind = 'wal' AND damage IS NOT NULL ORDER BY holder, name",
        (stanza,),
    )
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        inside = found.setdefault(row["holder"].partition("/")[0], {})
        inside[layout.segment_of(row["name"])] = row["damage"]
    return found


def unrepaired(connection: Connection, repository: Repository) -> list[str]:
    """Say what the readings found wrong, but for sets that a newer, whole full makes up for."""
    found = damage(connection, repository.stanza)
    marks = {label: what for what, labels in found for label in labels}
    lost = {backup_set.label for backup_set in repository.with_damage(marks).unrepaired()}
    return [
        f"{what} (of {', '.join(labels)})" if labels else what
        for what, labels in found
        if not labels or lost.intersection(labels)
    ]


def verified_at(
    connection: Connection, stanza: str, sets: Iterable[BackupSet], folders: Mapping[str, str]
) -> dict[str, datetime | None]:
    """Tell since when each set is proven: the oldest reading of all that it may need, None if one is missing.

    That is every object of the sets that it references, and its own WAL. ``folders``: label -> the archive
    id of its cluster.
    """
    holders = {row["holder"]: row for row in connection.execute(_SETS, (stanza,))}
    proven: dict[str, datetime | None] = {}
    for backup_set in sets:
        first, last = backup_set.wal_start, backup_set.wal_stop
        archive_id = folders.get(backup_set.label, "")
        wal = [f"{archive_id}/{folder}" for folder in layout.folders_between(first, last)]
        rows = [holders.get(label) for label in {backup_set.label, *backup_set.references}]
        rows.append(postgres.one_row(connection, _SEGMENTS, (stanza, wal, first, last)))
        unread = any(row is None or row["unread"] for row in rows)
        proven[backup_set.label] = None if unread else min(row["read_at"] for row in rows if row is not None)
    return proven


def summary(connection: Connection, stanza: str) -> Summary:
    """Read the state of the stanza's readings; by indexes, not by what is sound and not due."""
    row = postgres.one_row(connection, _SUMMARY, {"stanza": stanza})
    oldest = postgres.one_row(connection, _OLDEST_SET, {"stanza": stanza})
    return Summary(
        row["due_at"],
        row["unverified_bytes"],
        row["damaged_files"],
        row["damaged_segments"],
        oldest["read_at"] if oldest["unread"] is False else None,
    )
