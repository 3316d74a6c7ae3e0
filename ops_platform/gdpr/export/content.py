"""The content of an export: every row and object that the map exports, and files that explain them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from secrets import token_hex
from typing import Any

from ops_platform.clients.object_store import ObjectMissing, ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import connections, map_check, schema
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import Belonging, ByColumn, ByParent, DataMap, Objects, Table
from ops_platform.gdpr.export import index_page, overview, page_values, row_schema
from ops_platform.gdpr.export.json_lines import Block
from ops_platform.gdpr.export.overview import Overview, Part
from ops_platform.gdpr.export.prefetch import prefetched
from ops_platform.gdpr.export.rows import Rows
from ops_platform.gdpr.export.zip_archive import Archive, Sink, safe_path
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.requests import Language
from ops_platform.gdpr.schema import Column
from ops_platform.gdpr.subject import Identity, fill_placeholders, row_predicates, shared_prefix_guard

SMALL = 1 << 20
"""Bytes of rows up to which a part is one JSON array; a larger one is JSON Lines."""
FIRST_ROWS = 20
"""Rows of each part that the index page shows."""
LONGEST_ROW = 256 * 1024
"""Bytes of the longest row that the index page shows; a thumbnail in base64 is most of it."""
TECHNICAL_NAME = re.compile(r"(^|_)(id|uuid|hash|token|checksum|normalised|normalized)$|[a-z]Id$|_key$")
TECHNICAL_TYPES = frozenset({"tsvector"})

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class ExportRequest:
    """The subject's key, and the language and time of the export; no ``request_id`` on the command line."""

    key: str
    language: Language
    now: datetime
    request_id: str | None = None


class NoSuchSubject(CheckFailed):
    """The subject table has no row with the requested key."""


def write(
    connection: Connection,
    data_map: DataMap,
    request: ExportRequest,
    sink: Sink,
    media: Callable[[str], ObjectStore],
    progress: Progress = lambda place, count: None,
    others: Mapping[str, Connection] | None = None,
) -> list[Effect]:
    """Write the whole archive into ``sink``; return what was exported.

    All rows of a database are of one snapshot; no connection has an open transaction before or after.
    ``others``: to the map's other databases, by name. ``media`` opens the store of a bucket. ``progress``
    takes a place and the rows or objects of it that are done. Raises NoSuchSubject, CheckFailed when the map
    does not fit a database or files cannot be told from somebody else's, the store's errors, and what psycopg
    raises, also where a policy would hide rows.
    """
    with ExitStack() as snapshots:
        for opened in (connection, *(others or {}).values()):
            snapshots.enter_context(_snapshot(opened))
        databases = connections.read(
            OpenDatabase(data_map, connection, schema.read(connection)), others or {}
        )
        for database in databases:
            with database.named():
                _check(database)
        identity = row_predicates.identity(connection, data_map, databases[0].catalogue, request.key)
        if identity is None:
            raise NoSuchSubject("the subject is not in the database: nothing to export")
        # Files below the subject's prefix might be somebody else's.
        exported = tuple(objects for objects in data_map.objects if objects.export)
        shared_prefix_guard.refuse_shared(connection, replace(data_map, objects=exported, cache=()), identity)
        salt = token_hex(32)
        with Archive(sink, request.now) as archive:
            content = _Content(data_map, archive, progress)
            for database in databases:
                rows = Rows(database.data_map, database.catalogue, identity, salt)
                content.rows(rows, database.connection)
            content.objects(identity, media)
            content.explain(request)
        return content.effects


def _check(database: OpenDatabase) -> None:
    """Raise CheckFailed where the map does not fit; let later statements fail where a policy hides rows."""
    if map_check.check_database(database):
        raise CheckFailed("the data map does not fit the database: 'ops-platform gdpr map check' says where")
    # The check reports policies; should one hide rows all the same, fail rather than export some.
    database.connection.execute("SET LOCAL row_security = off")


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """Open a read-only transaction that sees one state of the database."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # JSON is UTF-8, whatever the database is.
        connection.execute("SET LOCAL client_encoding = 'UTF8'")
        # A configured timeout would end this session, as idle or as slow.
        connection.execute(
            "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
        )
        # Compiling conditions this long takes longer than running them.
        connection.execute("SET LOCAL jit = off")
        yield


@dataclass
class _Content:
    """The content while it is written; ``data_map``: the home database's."""

    data_map: DataMap
    archive: Archive
    progress: Progress
    effects: list[Effect] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def rows(self, source: Rows, connection: Connection) -> None:
        """Write the rows of one database."""
        for table, belonging in source.data_map.belongings():
            if source.columns(table, belonging):
                self._rows(source, connection, table, belonging)

    def _rows(self, source: Rows, connection: Connection, table: Table, belonging: Belonging) -> None:
        columns = source.columns(table, belonging)
        part = Part(
            source.data_map.place(table.name),
            belonging.role,
            table.purpose,
            table.retention,
            table.title or page_values.label(str(table.name)),
            titles=table.titles,
            technical=frozenset(column.name for column in columns if self._is_technical(table, column)),
            binary=frozenset(
                column.name for column in columns if column.base == "bytea" and not column.array
            ),
            shared=belonging.export != "own",
            schema=row_schema.of_row(columns, table.titles, table.linking),
        )
        database = source.data_map.database
        folder = f"data/{database.name}" if database else "data"
        path = safe_path(f"{folder}/{_path_part(str(table.name))}/{_path_part(part.role)}")
        found = source.blocks(connection, table, belonging)
        with prefetched(found, lambda block: len(block.lines)) as blocks:
            self._part(part, path, blocks)

    def _part(self, part: Part, path: str, blocks: Iterator[Block]) -> None:
        first, rest_follows = self._first(blocks)
        if rest_follows:
            with self.archive.file(f"{path}.jsonl") as file:
                for block in self._counted(part, [first], blocks):
                    file.write(block.lines)
        elif first.rows:
            array = b"[\n" + first.lines[:-1].replace(b"\n", b",\n") + b"\n]\n"
            with self.archive.file(f"{path}.json", size=len(array)) as file:
                file.write(array)
            part.rows = first.rows
        if part.rows:
            part.entry = self.archive.entries[-1]
            part.first = _shown(first)
            self._pictures(part, path)
        self.parts.append(part)
        self.progress(part.place, part.rows)
        self.effects.append(
            Effect("postgresql", part.place, part.role, "export", part.rows, part.rows, part.rows)
        )

    def _is_technical(self, table: Table, column: Column) -> bool:
        """Tell whether a column says nothing to people: keys, references, hashes, what searches use."""
        if column.name in table.titles:
            return False
        key = set(self.data_map.subject.key)
        ways = [belonging.way for belonging in table.everyones if column.name in belonging.way.columns]
        refers = any(
            isinstance(way, ByParent) or (isinstance(way, ByColumn) and key & set(way.holds)) for way in ways
        )
        return refers or column.base in TECHNICAL_TYPES or bool(TECHNICAL_NAME.search(column.name))

    def _pictures(self, part: Part, path: str) -> None:
        """Write images among the rows that the page shows as files, too; all of them are in the JSON."""
        for number, row in enumerate(part.first):
            for name in part.binary & set(row):
                decoded = page_values.picture(row[name])
                if decoded is not None:
                    data, ending = decoded
                    picture = (
                        f"{path.replace('data/', 'pictures/', 1)}/{number + 1}-{_path_part(name)}.{ending}"
                    )
                    with self.archive.file(safe_path(picture), size=len(data), compress=False) as file:
                        file.write(data)
                    part.pictures[number, name] = self.archive.entries[-1].path

    def _counted(self, part: Part, first: list[Block], rest: Iterator[Block]) -> Iterator[Block]:
        for blocks in (first, rest):
            for block in blocks:
                part.rows += block.rows
                self.progress(part.place, part.rows)
                yield block

    def _first(self, blocks: Iterator[Block]) -> tuple[Block, bool]:
        """Join the first blocks until they exceed SMALL bytes; tell whether more may follow."""
        lines, rows = bytearray(), 0
        for block in blocks:
            lines += block.lines
            rows += block.rows
            if len(lines) > SMALL:
                return Block(bytes(lines), rows), True
        return Block(bytes(lines), rows), False

    def objects(self, identity: Identity, media: Callable[[str], ObjectStore]) -> None:
        for objects in self.data_map.objects:
            if objects.export:
                self._objects(objects, identity, media)

    def _objects(self, objects: Objects, identity: Identity, media: Callable[[str], ObjectStore]) -> None:
        place = f"{objects.bucket}/{objects.prefix}"
        prefix = fill_placeholders(objects.prefix, identity)
        count = 0
        folder = safe_path(f"media/{objects.prefix.partition('{')[0].strip('/') or objects.bucket}")
        store = media(objects.bucket)
        for stored in store.list(prefix) if prefix is not None else ():
            if stored.key.endswith("/") and not stored.size:
                continue  # a placeholder for a folder, which the archive does not need
            path = f"{folder}/{safe_path(stored.key.removeprefix(prefix or ''))}"
            with ExitStack() as opened:
                try:
                    chunks = opened.enter_context(store.reading(stored.key))
                except ObjectMissing:
                    continue  # deleted since it was listed
                file = opened.enter_context(self.archive.file(path, size=stored.size, compress=False))
                for chunk in chunks:
                    file.write(chunk)
            count += 1
            self.progress(place, count)
        self.parts.append(
            Part(
                place,
                "files",
                objects.purpose,
                "",
                objects.purpose.rstrip("."),
                files=count,
                folder=folder,
            )
        )
        self.effects.append(Effect("s3", place, "files", "export", count, count, count))

    def explain(self, request: ExportRequest) -> None:
        facts = Overview(self.data_map, self.parts, request.language, request.now, request.request_id)
        self.archive.put("about.json", _json(overview.about(facts)))
        self.archive.put("index.html", index_page.index(facts))
        self.archive.put("schema.json", _json(row_schema.document(facts)))
        self.archive.put("manifest.json", _json(overview.manifest(facts, self.archive.entries)))


def _shown(first: Block) -> list[dict[str, Any]]:
    lines = first.lines.split(b"\n", FIRST_ROWS)[:FIRST_ROWS]
    return [row for line in lines if line and (row := _readable(line)) is not None]


def _readable(line: bytes) -> dict[str, Any] | None:
    """Parse a row for the index page; None when it is too long, or Python cannot read or write it."""
    if len(line) > LONGEST_ROW:
        return None
    try:
        # Amounts are shown as they are stored, without the rounding of a float.
        row: dict[str, Any] = json.loads(line, parse_float=str)
        json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        # PostgreSQL takes thousands of digits and levels, and a json column half a surrogate pair: such a
        # row is in its file, but not on the page.
        return None
    return row


def _path_part(text: str) -> str:
    return text.replace("/", "_")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
