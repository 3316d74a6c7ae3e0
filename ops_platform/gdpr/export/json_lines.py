"""The reader of a query's rows as lines of JSON. It knows no subjects and no maps.

A long text can come beside the JSON of its row and is inserted here: a server before PostgreSQL 17 examines
each character for JSON's escapes, which for long texts takes as long as all its other work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct

import orjson
from psycopg import sql

from ops_platform.clients.postgres import Connection, copy_out

BLOCK = 256 * 1024
"""Bytes of lines in one block; a longer row is a block of its own."""
PIECE = 1 << 20
"""Bytes of a large row that are sent at once."""
# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_LENGTH = Struct("!i").unpack_from
_COUNT = 2
"""Bytes of a row's field count; alone, they end the data."""


@dataclass(frozen=True)
class Block:
    """Whole lines, each of one JSON object and a newline."""

    lines: bytes
    rows: int


def read(
    connection: Connection,
    query: sql.Composable,
    texts: Sequence[str] = (),
    piecewise: Callable[[str], sql.Composable] | None = None,
) -> Generator[Block, None, None]:
    """Read one line for each row of ``query``, in the caller's transaction, whose encoding is UTF-8.

    The query's first column is the JSON of an object with a member or more. The columns after it are
    texts, one for each name in ``texts``, and become members of that name. With ``piecewise``, a last column
    is the place of a row that is too large to be sent whole, and NULL otherwise; for a place it builds the
    query of the line's ``pieces``, which come at the end. Raises what psycopg raises.
    """
    names = [b"," + json.dumps(name, ensure_ascii=False).encode() + b":" for name in texts]
    lines: list[bytes] = []
    size = rows = 0
    places: list[str] = []
    copying = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT binary)").format(query)
    for data in _rows(connection, copying):
        if piecewise is not None and (place := _last_field(data, len(names) + 2)) is not None:
            places.append(place)
            continue
        end = _COUNT + 4 + _LENGTH(data, _COUNT)[0]
        lines.append(_on_one_line(bytes(data[_COUNT + 4 : end])))
        if names:
            # Put the closing brace after the texts.
            lines[-1] = lines[-1][:-1]
            for name in names:
                start, length = end + 4, _LENGTH(data, end)[0]
                end = start + max(length, 0)
                lines += name, b"null" if length < 0 else orjson.dumps(str(data[start:end], "utf-8"))
            lines.append(b"}")
        lines.append(b"\n")
        rows += 1
        size += len(data)
        if size >= BLOCK:
            yield Block(b"".join(lines), rows)
            lines, size, rows = [], 0, 0
    if lines:
        yield Block(b"".join(lines), rows)
    for place in places:
        assert piecewise is not None  # noqa: S101 - there are no places then
        copying = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT binary)").format(piecewise(place))
        for data in _rows(connection, copying):
            yield Block(_on_one_line(bytes(data[_COUNT + 4 :])), 0)
        yield Block(b"\n", 1)


def pieces(lines: sql.Composable) -> sql.Composable:
    """Build the query for pieces of PIECE bytes. ``lines``: a query for the line, as bytes of that name."""
    return sql.SQL(
        "SELECT substring(whole.line FROM piece.number * {size} + 1 FOR {size}) "
        "FROM ({lines} OFFSET 0) AS whole "
        "CROSS JOIN LATERAL generate_series(0, (octet_length(whole.line) - 1) / {size}) AS piece (number)"
    ).format(size=sql.Literal(PIECE), lines=lines)


def _last_field(data: memoryview, count: int) -> str | None:
    """Return the text of the last of a row's ``count`` fields; None where it is NULL."""
    start = _COUNT
    for _ in range(count - 1):
        start += 4 + max(_LENGTH(data, start)[0], 0)
    length = _LENGTH(data, start)[0]
    return None if length < 0 else str(data[start + 4 : start + 4 + length], "ascii")


def _rows(connection: Connection, statement: sql.Composed) -> Iterator[memoryview]:
    begun = False
    for row in copy_out.messages(connection, statement):
        if not begun:
            begun = True
            # The header comes with the first row, or with the end.
            fixed = len(_SIGNATURE) + 8
            row = row[fixed + _LENGTH(row, fixed - 4)[0] :]
        if len(row) > _COUNT:
            yield row


def _on_one_line(text: bytes) -> bytes:
    """Replace line ends, which a json column may have between its tokens, by spaces."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in text or b"\r" in text else text
