"""Heartbeats of a stanza: rows in its own database, and the WAL position at which each was committed."""

from __future__ import annotations

from datetime import datetime, timedelta

from ops_platform.backup.recovery_point.rpo import Heartbeat
from ops_platform.backup.wal import format_lsn, parse_lsn
from ops_platform.clients.postgres import Connection, one_row

KEEP_DAYS = 3
"""Rows stay this long in the stanza's database: a restore looks only at those around its target."""
PRUNE_ROWS = 500


def record_heartbeat(product: Connection, ops: Connection, stanza: str) -> Heartbeat:
    """Write one heartbeat and its position; commits on both connections."""
    heartbeat = write_heartbeat(product)
    record_position(ops, stanza, heartbeat)
    ops.commit()
    return heartbeat


def write_heartbeat(product: Connection) -> Heartbeat:
    """Write one heartbeat into the stanza's database and commit it; the caller records its position.

    The LSN is read after the commit: one read inside the transaction would precede the commit
    record, and archived WAL up to it would not contain the row. It is the insert position, which
    holds with synchronous_commit off too.
    """
    at = _insert(product)
    product.commit()
    row = one_row(
        product,
        """
        SELECT lsn::text AS lsn, substr(pg_walfile_name(lsn), 1, 8) AS timeline
        FROM (SELECT pg_current_wal_insert_lsn()) AS inserted (lsn)
        """,
    )
    product.commit()
    return Heartbeat(at, parse_lsn(row["lsn"]), int(row["timeline"], 16))


def record_position(ops: Connection, stanza: str, heartbeat: Heartbeat) -> None:
    """Store a heartbeat's position in the ops database, in the caller's transaction.

    Storing the same one again changes nothing.
    """
    ops.execute(
        """
        INSERT INTO heartbeat_positions (stanza, beat_at, lsn, timeline) VALUES (%s, %s, %s::pg_lsn, %s)
        ON CONFLICT (stanza, beat_at) DO NOTHING
        """,
        (stanza, heartbeat.at, format_lsn(heartbeat.lsn), heartbeat.timeline),
    )


def prune(product: Connection, ops: Connection, stanza: str, keep_positions: timedelta) -> int:
    """Delete a small batch of old rows in both databases; return their number.

    The newest position always stays. Commits on both connections.
    """
    deleted = product.execute(
        """
        DELETE FROM ops_platform.heartbeats WHERE beat_at IN (
            SELECT beat_at FROM ops_platform.heartbeats
            WHERE beat_at < now() - make_interval(days => %s) ORDER BY beat_at LIMIT %s)
        """,
        (KEEP_DAYS, PRUNE_ROWS),
    ).rowcount
    product.commit()
    deleted += ops.execute(
        """
        DELETE FROM heartbeat_positions WHERE stanza = %s AND beat_at IN (
            SELECT beat_at FROM heartbeat_positions
            WHERE stanza = %s AND beat_at < now() - %s
              AND beat_at < (SELECT max(beat_at) FROM heartbeat_positions WHERE stanza = %s)
            ORDER BY beat_at LIMIT %s)
        """,
        (stanza, stanza, keep_positions, stanza, PRUNE_ROWS),
    ).rowcount
    ops.commit()
    return deleted


def _insert(product: Connection) -> datetime:
    row = one_row(
        product, "INSERT INTO ops_platform.heartbeats (beat_at) VALUES (clock_timestamp()) RETURNING beat_at"
    )
    at: datetime = row["beat_at"]
    return at
