"""Encoding of audit events to the bytes that are hashed, and the query that streams them in seal order.

A row is the concatenation of netstrings (``<byte length>:<UTF-8 bytes>,``; ``-,`` for NULL) of

    "audit_event/1", id, event_id, epoch, xid, occurred_at, actor, action, phase, operation_id,
    object, outcome, details, commitments

each as PostgreSQL prints it; ``occurred_at`` as whole microseconds since 1970-01-01 UTC, the two
``jsonb`` columns as ``::text`` (jsonb's own canonical form: keys sorted and unique). The lengths make
the encoding injective; the view ``audit_leaves`` does the same in SQL.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import tuple_row

from ops_platform.audit.merkle import leaf_hash
from ops_platform.clients.postgres import Connection

VERSION = "audit_event/1"
FETCH_ROWS = 2000

COLUMNS = (
    "id", "event_id", "epoch", "xid", "occurred_at", "actor", "action", "phase", "operation_id", "object",
    "outcome", "details", "commitments",
)  # fmt: skip
"""The order in which they are hashed."""
_COLUMNS = """
    id::text, event_id::text, epoch::text, xid::text,
    (extract(epoch FROM occurred_at) * 1000000)::bigint::text,
    actor, action, phase, operation_id, object, outcome, details::text, commitments::text
"""
_PREFIX = b"13:audit_event/1,"


@dataclass(frozen=True)
class Leaf:
    """One event as a leaf of a seal's tree; ``occurred_us`` in microseconds since 1970-01-01 UTC."""

    id: int
    epoch: int
    xid: int
    occurred_us: int
    hash: bytes


def encode(values: Sequence[str | None]) -> bytes:
    """Encode a row, given as the texts of its columns in the order above, to its canonical bytes."""
    parts = [_PREFIX]
    for value in values:
        if value is None:
            parts.append(b"-,")
        else:
            data = value.encode()
            parts.append(b"%d:%b," % (len(data), data))
    return b"".join(parts)


def leaves(
    connection: Connection, condition: str = "true", parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> Generator[Leaf, None, None]:
    """Stream the events that meet ``condition`` (SQL of ours), ordered by epoch, xid, id.

    A server-side cursor bounds the memory; the caller holds a transaction open.
    """
    with connection.cursor(name="audit_leaves_of_events", row_factory=tuple_row) as cursor:
        cursor.itersize = FETCH_ROWS
        cursor.execute(
            # Qualified names: plain ones would order by the texts that are selected under the same names.
            f"SELECT {_COLUMNS} FROM ONLY public.audit_events AS event WHERE {condition} "  # noqa: S608
            "ORDER BY event.epoch, event.xid, event.id",
            parameters,
        )
        for row in cursor:
            yield Leaf(int(row[0]), int(row[2]), int(row[3]), int(row[4]), leaf_hash(encode(row)))
