"""The ledger's tables on a server, read in one snapshot and with settings of our own."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from ops_platform.audit import batch, encoding
from ops_platform.audit.encoding import Leaf
from ops_platform.clients.postgres import Connection, one_row

SEAL_COLUMNS = """
    number, epoch, opens, void_from, from_xid::text AS from_xid, to_xid::text AS to_xid, row_count,
    first_id, last_id, merkle_root, previous_hash, sealed_at, key_id, document, signature
"""
PINNED = (
    ("search_path", "pg_catalog, pg_temp"),
    # A policy is then an error, and hides nothing.
    ("row_security", "off"),
    ("transform_null_equals", "off"),
    ("extra_float_digits", "1"),
    ("DateStyle", "ISO, YMD"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("jit", "off"),
)
"""Settings that decide what a query means: a role, a database or a URL could have set others."""


def pin(connection: Connection) -> None:
    """Set the session's meaning of names and texts for the rest of the transaction."""
    for name, value in PINNED:
        connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))


class StoredLedger:
    """The tables that a connection sees in its transaction; ``pin`` was called in it."""

    taken_at = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def final(self) -> int:
        """Return the lowest transaction id that had not ended when the snapshot was taken."""
        return batch.horizon(self._connection)

    def next_xid(self) -> int:
        """Return the lowest transaction id that had not been given when the snapshot was taken."""
        return batch.next_xid(self._connection)

    def openings(self) -> Iterator[tuple[str, str]]:
        """Yield document and signature of each seal that opens an epoch, by number."""
        query = (
            "SELECT document, signature FROM ONLY public.audit_seals WHERE opens IS NOT NULL ORDER BY number"
        )
        for row in self._connection.execute(query):
            yield row["document"], row["signature"]

    def seals(self, after: int) -> Iterator[dict[str, Any]]:
        """Stream the rows of ``audit_seals`` with greater numbers than ``after``, by number."""
        with self._connection.cursor(name="audit_seals_by_number") as rows:
            rows.itersize = 500
            query = f"SELECT {SEAL_COLUMNS} FROM ONLY public.audit_seals WHERE number > %s ORDER BY number"  # noqa: S608
            yield from rows.execute(query, (after,))

    def leaves(self, epoch: int, xid: int) -> Generator[Leaf, None, None]:
        """Stream the events from this place on, along the index that has them in the order of seals."""
        # Not by a sort of the table: its rows are counted once more by ``scanned``, and the two must agree.
        self._methods(index="on", pages="off")
        yield from encoding.leaves(
            self._connection,
            "(event.epoch, event.xid) >= (%(epoch)s, %(xid)s::text::xid8)",
            {"epoch": epoch, "xid": str(xid)},
        )

    def scanned(self, epoch: int, xid: int) -> tuple[int, int]:
        """Count the events before this place and from it on, by the table's own pages and no index."""
        self._methods(index="off", pages="on")
        row = one_row(
            self._connection,
            """
            SELECT count(*) FILTER (WHERE (epoch, xid) < (%(epoch)s, %(xid)s::text::xid8)) AS before,
                   count(*) AS rows
            FROM ONLY public.audit_events
            """,
            {"epoch": epoch, "xid": str(xid)},
        )
        return row["before"], row["rows"] - row["before"]

    def _methods(self, *, index: str, pages: str) -> None:
        chosen = {
            "enable_indexscan": index,
            "enable_indexonlyscan": index,
            "enable_bitmapscan": "off",
            "enable_seqscan": pages,
            "enable_sort": pages,
        }
        for name, value in chosen.items():
            self._connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))
