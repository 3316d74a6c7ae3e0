"""The export of the ledger: a directory that is verified on another machine, without the server.

``ledger.sql`` has the rows as pg_dump writes data, ``manifest.json`` the moment and the catalogue's facts,
``audit/seals/`` the bucket's copies where they were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from ops_platform.audit import batch, catalogue
from ops_platform.audit.reading.copied_ledger import CopiedLedger
from ops_platform.audit.reading.dump import TABLES
from ops_platform.audit.reading.stored_ledger import pin
from ops_platform.audit.seal import PREFIX
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection, copy_out
from ops_platform.errors import CheckFailed

VERSION = "audit_export/1"
DUMP, MANIFEST = "ledger.sql", "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The moment of an export: ``taken_at`` in ISO 8601, the snapshot's transaction ids, the catalogue."""

    version: str
    taken_at: str
    final: int
    next_xid: int
    catalogue: Mapping[str, str]
    rows: Mapping[str, int]


def export(connection: Connection, directory: Path, ledger: ObjectStore | None) -> Manifest:
    """Write the export into ``directory``, which is made; with ``ledger``, its copies of seals, too.

    Rows come by COPY, which reads a table's pages and refuses a view. Raises CheckFailed when the
    directory holds something already, and what PostgreSQL and the object store raise.
    """
    if directory.exists() and any(directory.iterdir()):
        raise CheckFailed(f"{directory} is not empty: name a new directory")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with batch.own_transactions(connection), batch.snapshot(connection):
        pin(connection)
        rows: dict[str, int] = {}
        facts = catalogue.read_facts(connection)
        with (directory / DUMP).open("wb") as file:
            for table in TABLES:
                rows[table] = 0
                columns = _columns(connection, table)
                file.write(f"COPY public.{table} ({', '.join(columns)}) FROM stdin;\n".encode())
                for line in copy_out.messages(connection, _copy(table, columns)):
                    file.write(line)
                    rows[table] += 1
                file.write(b"\\.\n\n")
        manifest = Manifest(
            VERSION,
            datetime.now(UTC).isoformat(),
            batch.horizon(connection),
            batch.next_xid(connection),
            facts,
            rows,
        )
    if ledger is not None:
        for key, body in _bodies(ledger):
            (directory / key).parent.mkdir(parents=True, exist_ok=True)
            (directory / key).write_bytes(body)
    # Last: a directory with it is a whole one.
    text = json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n"
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def open_copy(path: Path, taken_at: datetime | None) -> tuple[CopiedLedger, Manifest | None]:
    """Open an export's directory, or a plain dump in a file; ``taken_at`` says when a dump was made.

    Raises CheckFailed when it is neither.
    """
    if not path.is_dir():
        return CopiedLedger(path, taken_at=taken_at), None
    try:
        manifest = Manifest(**json.loads((path / MANIFEST).read_text(encoding="utf-8")))
        moment = datetime.fromisoformat(manifest.taken_at)
        if manifest.version != VERSION or moment.tzinfo is None:
            raise ValueError
    except (OSError, ValueError, TypeError):
        raise CheckFailed(
            f"{path / MANIFEST} is not that of a whole export of the form {VERSION}: export anew, or name "
            "the file of a dump"
        ) from None
    return (
        CopiedLedger(path / DUMP, taken_at=moment, final=manifest.final, next_xid=manifest.next_xid),
        manifest,
    )


def _bodies(ledger: ObjectStore) -> Iterator[tuple[str, bytes]]:
    """Read the oldest version of each seal's copy: a later one, or a delete marker, is not the seal."""
    oldest: dict[str, str | None] = {}
    for stored in ledger.versions(PREFIX):
        if stored.key not in oldest and oldest:
            yield from ((key, ledger.get(key, version)) for key, version in oldest.items())
            oldest = {}
        if not stored.delete_marker:
            oldest[stored.key] = stored.version_id
    yield from ((key, ledger.get(key, version)) for key, version in oldest.items())


def _columns(connection: Connection, table: str) -> list[str]:
    query = """
        SELECT attname::text AS name FROM pg_catalog.pg_attribute
        WHERE attrelid = ('public.' || %s)::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
    """
    return [row["name"] for row in connection.execute(query, (table,))]


def _copy(table: str, columns: list[str]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) TO STDOUT").format(
        sql.Identifier("public", table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
