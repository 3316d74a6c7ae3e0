"""The ledger's rows out of a dump, sorted in a file of SQLite: memory does not grow with them."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops_platform.audit.encoding import COLUMNS, Leaf, encode
from ops_platform.audit.merkle import leaf_hash
from ops_platform.audit.reading import dump
from ops_platform.errors import CheckFailed

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = ("number", "epoch", "opens", "void_from", "row_count", "first_id", "last_id")


class CopiedLedger:
    """The rows of a dump. ``final`` and ``next_xid`` are those of its snapshot, where they are known."""

    def __init__(
        self, path: Path, *, taken_at: datetime | None, final: int | None = None, next_xid: int | None = None
    ) -> None:
        """Read the dump at ``path``. Raises CheckFailed when it is not a whole one."""
        self.taken_at = taken_at
        self._final, self._next_xid = final, next_xid
        self._directory = tempfile.TemporaryDirectory(prefix="ops-ledger")
        self._sorted = sqlite3.connect(Path(self._directory.name) / "rows", isolation_level=None)
        self._events = 0
        try:
            self._load(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the sorted file."""
        self._sorted.close()
        self._directory.cleanup()

    def final(self) -> int | None:
        """Return the lowest transaction id that had not ended when the copy was made, if it is known."""
        return self._final

    def next_xid(self) -> int | None:
        """Return the lowest transaction id that had not been given then, if it is known."""
        return self._next_xid

    def openings(self) -> Iterator[tuple[str, str]]:
        """Yield document and signature of each seal that opens an epoch, by number."""
        for row in self.seals(0):
            if row["opens"] is not None:
                yield row["document"], row["signature"]

    def seals(self, after: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of ``audit_seals`` with greater numbers than ``after``, by number."""
        query = "SELECT fields FROM seals WHERE number > ? ORDER BY number"
        for (fields,) in self._sorted.execute(query, (after,)):
            yield _seal_row(json.loads(fields))

    def leaves(self, epoch: int, xid: int) -> Generator[Leaf, None, None]:
        """Yield the events from this place on, by epoch, transaction id and id."""
        query = """
            SELECT id, epoch, xid, us, hash FROM events WHERE (epoch, xid) >= (?, ?) ORDER BY epoch, xid, id
        """
        for row in self._sorted.execute(query, (epoch, _padded(xid))):
            yield Leaf(row[0], row[1], int(row[2]), row[3], row[4])

    def scanned(self, _epoch: int, _xid: int) -> tuple[int, int]:
        """Count the lines of the dump that are events."""
        return 0, self._events

    def _load(self, path: Path) -> None:
        run = self._sorted.execute
        for statement in (
            "PRAGMA journal_mode = off",
            "PRAGMA synchronous = off",
            "CREATE TABLE events (epoch INTEGER, xid TEXT, id INTEGER, us INTEGER, hash BLOB)",
            "CREATE TABLE seals (number INTEGER, fields TEXT)",
            "BEGIN",
        ):
            run(statement)
        for table, row in dump.rows(path):
            try:
                if table == "audit_events":
                    self._events += 1
                    run("INSERT INTO events VALUES (?, ?, ?, ?, ?)", _event(row))
                else:
                    run("INSERT INTO seals VALUES (?, ?)", (int(row["number"] or ""), json.dumps(row)))
            except (KeyError, ValueError, OverflowError):
                raise CheckFailed(
                    f"{path} has a row of {table} that cannot be one: make the dump anew"
                ) from None
        run("COMMIT")


def _event(row: dump.Row) -> tuple[int, str, int, int, bytes]:
    """Make the sorted file's row of an event: its place, its time and its leaf."""
    us = dump.microseconds(row["occurred_at"] or "")
    values = [str(us) if name == "occurred_at" else row[name] for name in COLUMNS]
    xid = int(row["xid"] or "")
    return int(row["epoch"] or ""), _padded(xid), int(row["id"] or ""), us, leaf_hash(encode(values))


def _padded(xid: int) -> str:
    """Write an unsigned 64-bit number so that texts sort as numbers: SQLite's integers are signed."""
    return f"{xid:020d}"


def _seal_row(row: dump.Row) -> dict[str, Any]:
    sealed_at: datetime | None
    try:
        sealed_at = _UNIX + timedelta(microseconds=dump.microseconds(row["sealed_at"] or ""))
    except (ValueError, OverflowError):
        sealed_at = None
    integers = {name: None if row[name] is None else int(row[name] or "") for name in _INTEGERS}
    return {**row, **integers, "sealed_at": sealed_at}
