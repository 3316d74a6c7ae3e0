"""What is in an export: every row and object that the map shows, and files that explain them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from secrets import token_hex
from typing import Any

from ops_platform.clients.object_store import ObjectMissing, ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import map_check, schema
from ops_platform.gdpr.data_map import Belonging, DataMap, Objects, Table
from ops_platform.gdpr.export import index_page as export_pages
from ops_platform.gdpr.export.index_page import About, Part
from ops_platform.gdpr.export.json_lines import Block
from ops_platform.gdpr.export.prefetch import ahead
from ops_platform.gdpr.export.rows import Rows
from ops_platform.gdpr.export.zip_archive import Archive, Sink, safe_path
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.requests import Language
from ops_platform.gdpr.subject import Identity, filled, row_predicates, shared_prefix_guard

SMALL = 1 << 20
"""Bytes of rows up to which they are one JSON array; more are JSON Lines."""
FIRST_ROWS = 20
"""Of each part, on the page for people."""
LONGEST_ROW = 16 * 1024
"""Bytes of a row that is shown there."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Wanted:
    """Whose export, in which language, under which name; ``request_id`` is None on the command line."""

    key: str
    language: Language
    now: datetime
    request_id: str | None = None


class NoSuchSubject(CheckFailed):
    """Nobody in the database has this key."""


def write(
    connection: Connection,
    data_map: DataMap,
    wanted: Wanted,
    sink: Sink,
    media: Callable[[str], ObjectStore],
    progress: Progress = lambda place, count: None,
) -> list[Effect]:
    """The whole archive into ``sink``, of one snapshot that ``connection`` takes and ends; what was exported.

    ``connection`` has no open transaction. Raises NoSuchSubject, CheckFailed when the map does not fit the
    database or files cannot be told from somebody else's, the store's errors, and what psycopg raises, also
    where a policy would hide rows.
    """
    with _snapshot(connection):
        if map_check.check(connection, data_map):
            raise CheckFailed("the map does not fit the database: 'ops-platform gdpr map check' says where")
        # The check has told of policies; should one hide rows all the same, rather none than some.
        connection.execute("SET LOCAL row_security = off")
        known = schema.read(connection)
        who = row_predicates.identity(connection, data_map, known, wanted.key)
        if who is None:
            raise NoSuchSubject("the subject is not in the database: nothing to export")
        # What lies among their files might be somebody else's.
        shown = tuple(one for one in data_map.objects if one.export)
        shared_prefix_guard.refuse_shared(connection, replace(data_map, objects=shown, cache=()), who)
        with Archive(sink, wanted.now) as archive:
            content = _Content(Rows(data_map, known, who, token_hex(32)), archive, progress)
            content.rows(connection)
            content.objects(who, media)
            content.explain(wanted)
        return content.effects


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """One state of the database, which nothing here can change."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # JSON is UTF-8, whatever the database is.
        connection.execute("SET LOCAL client_encoding = 'UTF8'")
        # Sessions that look after others would end this one, as idle or as slow.
        connection.execute(
            "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
        )
        # Compiling conditions this long takes longer than they do.
        connection.execute("SET LOCAL jit = off")
        yield


@dataclass
class _Content:
    source: Rows
    archive: Archive
    progress: Progress
    effects: list[Effect] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def rows(self, connection: Connection) -> None:
        for table, one in self.source.data_map.belongings():
            if self.source.columns(table, one):
                self._rows(connection, table, one)

    def _rows(self, connection: Connection, table: Table, one: Belonging) -> None:
        part = Part(str(table.name), one.role, table.purpose, table.retention, shared=one.export != "own")
        with ahead(self.source.blocks(connection, table, one), lambda block: len(block.lines)) as blocks:
            self._part(part, blocks)

    def _part(self, part: Part, blocks: Iterator[Block]) -> None:
        first, rest_follows = self._first(blocks)
        path = safe_path(f"data/{_one_part(part.place)}/{_one_part(part.role)}")
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
        self.parts.append(part)
        self.progress(part.place, part.rows)
        self.effects.append(
            Effect("postgresql", part.place, part.role, "export", part.rows, part.rows, part.rows)
        )

    def _counted(self, part: Part, first: list[Block], rest: Iterator[Block]) -> Iterator[Block]:
        for source in (first, rest):
            for block in source:
                part.rows += block.rows
                self.progress(part.place, part.rows)
                yield block

    def _first(self, blocks: Iterator[Block]) -> tuple[Block, bool]:
        """The first rows together, and whether there may be more."""
        lines, rows = bytearray(), 0
        for block in blocks:
            lines += block.lines
            rows += block.rows
            if len(lines) > SMALL:
                return Block(bytes(lines), rows), True
        return Block(bytes(lines), rows), False

    def objects(self, who: Identity, media: Callable[[str], ObjectStore]) -> None:
        for one in self.source.data_map.objects:
            if one.export:
                self._objects(one, who, media)

    def _objects(self, one: Objects, who: Identity, media: Callable[[str], ObjectStore]) -> None:
        place = f"{one.bucket}/{one.prefix}"
        prefix = filled(one.prefix, who)
        count = 0
        folder = safe_path(f"media/{one.prefix.partition('{')[0].strip('/') or one.bucket}")
        store = media(one.bucket)
        for stored in store.list(prefix) if prefix is not None else ():
            if stored.key.endswith("/") and not stored.size:
                continue  # it stands for a folder, which is there without it
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
        self.parts.append(Part(place, "files", one.purpose, "", files=count, folder=folder))
        self.effects.append(Effect("s3", place, "files", "export", count, count, count))

    def explain(self, wanted: Wanted) -> None:
        about = About(self.source.data_map, self.parts, wanted.language, wanted.now, wanted.request_id)
        self.archive.put("about.json", _json(export_pages.about(about)))
        self.archive.put("index.html", export_pages.index(about))
        self.archive.put("manifest.json", _json(export_pages.manifest(about, self.archive.entries)))


def totals(effects: list[Effect]) -> Counter[str]:
    """Rows and files of an export, by store."""
    found: Counter[str] = Counter()
    for one in effects:
        found[one.store] += one.changed
    return found


def _shown(first: Block) -> list[dict[str, Any]]:
    lines = first.lines.split(b"\n", FIRST_ROWS)[:FIRST_ROWS]
    return [row for line in lines if line and (row := _readable(line)) is not None]


def _readable(line: bytes) -> dict[str, Any] | None:
    """A row as Python reads and writes it; None where it is too long, or neither."""
    if len(line) > LONGEST_ROW:
        return None
    try:
        row: dict[str, Any] = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        # PostgreSQL takes thousands of digits and levels, and a json column half a surrogate pair: such a
        # row is in its file, and not on the page.
        return None
    return row


def _one_part(text: str) -> str:
    return text.replace("/", "_")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
