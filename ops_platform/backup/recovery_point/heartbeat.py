"""A stanza's heartbeat: a row in its own database, and where in its WAL that row was committed."""

from __future__ import annotations

from datetime import datetime, timedelta

from ops_platform.backup.recovery_point.rpo import Beat
from ops_platform.backup.wal import format_lsn, parse_lsn
from ops_platform.clients.postgres import Connection, one_row

KEEP_DAYS = 3
"""Rows in the stanza's database: restores look at those around their target only."""
PRUNE_ROWS = 500


def beat(product: Connection, ops: Connection, stanza: str) -> Beat:
    """Write one heartbeat and its position; commits on both connections."""
    made = strike(product)
    remember(ops, stanza, made)
    ops.commit()
    return made


def strike(product: Connection) -> Beat:
    """Write one heartbeat and commit it; its position is the caller's to remember.

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
    return Beat(at, parse_lsn(row["lsn"]), int(row["timeline"], 16))


def remember(ops: Connection, stanza: str, made: Beat) -> None:
    """Store a position; the same one again changes nothing. In the caller's transaction."""
    ops.execute(
        """
        INSERT INTO heartbeat_positions (stanza, beat_at, lsn, timeline) VALUES (%s, %s, %s::pg_lsn, %s)
        ON CONFLICT (stanza, beat_at) DO NOTHING
        """,
        (stanza, made.at, format_lsn(made.lsn), made.timeline),
    )


def prune(product: Connection, ops: Connection, stanza: str, keep_positions: timedelta) -> int:
    """Delete a small batch of old rows on both sides; how many. The newest position always stays."""
    gone = product.execute(
        """
        DELETE FROM ops_platform.heartbeats WHERE beat_at IN (
            SELECT beat_at FROM ops_platform.heartbeats
            WHERE beat_at < now() - make_interval(days => %s) ORDER BY beat_at LIMIT %s)
        """,
        (KEEP_DAYS, PRUNE_ROWS),
    ).rowcount
    product.commit()
    gone += ops.execute(
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
    return gone


def _insert(product: Connection) -> datetime:
    row = one_row(
        product, "INSERT INTO ops_platform.heartbeats (beat_at) VALUES (clock_timestamp()) RETURNING beat_at"
    )
    at: datetime = row["beat_at"]
    return at
