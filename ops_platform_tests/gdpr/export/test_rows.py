"""What an export shows of odd tables: documents and arrays of several people, odd names, types and sizes."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.export import content as export_content
from ops_platform.gdpr.export.content import ExportRequest
from ops_platform.gdpr.export.rows import Rows
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.local.servers.postgres_cluster import PostgresCluster

pytestmark = pytest.mark.services

ANNA, BERT = UUID(int=1), UUID(int=2)
BERT_MAIL = "bert@example.org"
CANARY = "canary-of-bert"
ODD = 'Odd "Name".x/y'
ODD_SQL = '"Odd ""Name"".x/y"'
SCHEMA = """
CREATE TABLE people (id uuid PRIMARY KEY, email text UNIQUE, boss uuid REFERENCES people);
CREATE INDEX ON people (boss);
CREATE TABLE "Odd ""Name"".x/y" (
    "Über Schrift" text, owner uuid REFERENCES people, raw bytea, plain json, amount numeric, big bigint,
    seen timestamptz, watchers text[], doc jsonb, PRIMARY KEY (big));
CREATE INDEX ON "Odd ""Name"".x/y" (owner);
CREATE INDEX ON "Odd ""Name"".x/y" USING gin (watchers);
CREATE INDEX ON "Odd ""Name"".x/y" USING gin (doc jsonb_path_ops);
CREATE TABLE shared (id int PRIMARY KEY, owner uuid REFERENCES people, doc jsonb, team uuid[]);
CREATE INDEX ON shared (owner);
CREATE INDEX ON shared USING gin (team);
CREATE INDEX ON shared USING gin (doc jsonb_path_ops);
"""
MAP = """
version: 1
subject: {kind: person, table: people, key: id, email: email, stand_in: {email: pseudonym}}
tables:
  people:
    purpose: p
    retention: r
    personal: [email]
    rows:
      - {role: self, column: id, erase: delete, export: own}
      - {role: boss, column: boss, erase: {anonymise: {boss: null}}, export: none}
  public."Odd ""Name"".x/y":
    purpose: p
    retention: r
    personal: ["Über Schrift", raw, plain, amount, seen]
    plain: [big]
    documents:
      doc: {title: personal, "tags[*]": plain, "authors[*].mail": personal, "authors[*].since": plain}
    rows:
      - {role: owner, column: owner, erase: delete, export: own}
      - {role: watcher, array: watchers, holds: email, erase: remove, export: [big]}
      - {role: author, json: doc, path: "authors[*].id", erase: remove, export: [big]}
  shared:
    purpose: p
    retention: r
    plain: [id]
    documents: {doc: {note: personal, "members[*].name": personal, "members[*].seat": plain, state: plain}}
    rows:
      - {role: owner, column: owner, erase: delete, export: own}
      - {role: member, json: doc, path: "members[*].id", erase: remove, export: [id, doc, team]}
      - {role: team, array: team, erase: remove, export: [id]}
"""


@pytest.fixture(scope="module")
def data_map(tmp_path_factory: pytest.TempPathFactory) -> DataMap:
    file: Path = tmp_path_factory.mktemp("map") / "data_map.yaml"
    file.write_text(MAP, encoding="utf-8")
    return map_file.load(file)


@pytest.fixture
def odd(demo_cluster: PostgresCluster) -> Iterator[Connection]:
    """Anna, Bert and their tables, in a database of their own, as its superuser."""
    with demo_cluster.superuser() as superuser:
        superuser.autocommit = True
        superuser.execute("DROP DATABASE IF EXISTS odd")
        superuser.execute("CREATE DATABASE odd")
    with postgres.connect(demo_cluster.superuser_dsn("odd"), autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute(
            "INSERT INTO people VALUES (%s, 'bert@example.org', NULL), (%s, 'anna@example.org', %s)",
            (BERT, ANNA, BERT),
        )
        yield connection


def rows(connection: Connection, data_map: DataMap, table: str, role: str, salt: str = "s") -> list[Any]:
    """What is shown in one role, past the check of the map: a sample does not see every document."""
    known = catalogue.read(connection)
    who = subject_rows.identity(connection, data_map, known, str(ANNA))
    assert who is not None
    [(name, one)] = [
        (name, one) for name, one in data_map.belongings() if name.name.relation == table and one.role == role
    ]
    blocks = Rows(data_map, known, who, salt).blocks(connection, name, one)
    return [json.loads(line, parse_float=str) for block in blocks for line in block.lines.splitlines()]


def exported(connection: Connection, data_map: DataMap) -> zipfile.ZipFile:
    def none(bucket: str) -> ObjectStore:
        raise AssertionError(bucket)

    sink = io.BytesIO()
    wanted = ExportRequest(str(ANNA), "en", datetime(2026, 3, 1, tzinfo=UTC))
    export_content.write(connection, data_map, wanted, sink, none)
    return zipfile.ZipFile(sink)


def test_values_of_all_types_and_odd_names(odd: Connection, data_map: DataMap) -> None:
    written = 'back\\slash \t tab \n line \\n \\. \x01 ü 😀 <b>&"'
    odd.execute(
        f"""INSERT INTO {ODD_SQL} VALUES (%s, %s, %s, %s, 12345678901234567890.12345, 9007199254740993,
        '2026-01-02 03:04:05.678+05', NULL, NULL)""",
        (written, ANNA, bytes(range(256)), '{"a":\n\t1,  "a": 2, "x": "\\\\n \\u0000"}'),
    )
    archive = exported(odd, data_map)
    [path] = [name for name in archive.namelist() if "owner" in name and "Odd" in name]
    assert re.fullmatch(r"data/[^/]+/owner.json", path)
    text = archive.read(path).decode()
    [row] = json.loads(text, parse_float=str)
    assert row["Über Schrift"] == written
    assert base64.b64decode(row["raw"], validate=True) == bytes(range(256))
    # A json column is as it was written, but for the line ends between its tokens.
    assert row["plain"] == {"a": 2, "x": "\\n \0"}
    assert '{"a": \t1,  "a": 2,' in text
    assert (row["amount"], row["big"]) == ("12345678901234567890.12345", 9007199254740993)
    assert row["seen"] == "2026-01-01T22:04:05.678+00:00"
    assert (row["watchers"], row["doc"]) == (None, None)
    page = archive.read("index.html").decode()
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize(
    "value", ["9" * 5000, "[" * 5000 + "]" * 5000, '"\\ud800"'], ids=("digits", "levels", "half")
)
def test_what_postgresql_takes_and_python_does_not_is_exported(
    odd: Connection, data_map: DataMap, value: str
) -> None:
    odd.execute(f"INSERT INTO {ODD_SQL} (owner, big, plain) VALUES (%s, 1, %s)", (ANNA, value))
    odd.execute(f"INSERT INTO {ODD_SQL} (owner, big, plain) VALUES (%s, 2, '0')", (ANNA,))
    archive = exported(odd, data_map)
    [path] = [name for name in archive.namelist() if "owner" in name and "Odd" in name]
    assert f'"plain":{value},' in archive.read(path).decode()
    page = archive.read("index.html").decode()
    assert ("The first 1 of 2 entries" in page) is not reads(value)


def reads(value: str) -> bool:
    """Whether this Python does: 3.13 takes more levels."""
    try:
        json.dumps(json.loads(value), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def test_other_people_in_ones_own_row(odd: Connection, data_map: DataMap) -> None:
    document = """{"title": "mine", "number": 12345678901234567890.10, "tags": ["x", null], "authors": [
        {"id": "%(anna)s", "mail": "anna@example.org", "since": 1.10, "unknown": "kept"},
        {"id": "%(bert)s", "mail": "CANARY", "since": 2, "unknown": "CANARY", "deep": {"er": ["CANARY"]}},
        {"id": null, "mail": "CANARY", "since": 3},
        {"id": {"odd": "CANARY"}, "since": 4}, "CANARY", ["CANARY"]]}"""
    for name, value in {"%(anna)s": str(ANNA), "%(bert)s": str(BERT), "CANARY": CANARY}.items():
        document = document.replace(name, value)
    odd.execute(
        f"INSERT INTO {ODD_SQL} (owner, big, watchers, doc) VALUES (%s, 1, %s, %s)",
        (ANNA, ["anna@example.org", BERT_MAIL, None, BERT_MAIL], document),
    )
    [row] = rows(odd, data_map, ODD, "owner")
    text = json.dumps(row)
    assert CANARY not in text
    assert BERT_MAIL not in text
    assert str(BERT) not in text
    mine, other, nobody, *odd_ones = row["doc"]["authors"]
    assert (row["doc"]["title"], row["doc"]["number"]) == ("mine", "12345678901234567890.10")
    assert mine == {"id": str(ANNA), "mail": "anna@example.org", "since": "1.10", "unknown": "kept"}
    assert other == {"id": other["id"], "mail": None, "since": 2}
    assert other["id"].startswith("person-")
    assert nobody == {"id": None, "mail": None, "since": 3}
    assert odd_ones[0]["since"] == 4
    assert odd_ones[1:] == [None, None]
    own, other, none, again = row["watchers"]
    assert (own, none) == ("anna@example.org", None)
    assert other == again != BERT_MAIL
    # In another export he has another name.
    [elsewhere] = rows(odd, data_map, ODD, "owner", salt="other")
    assert elsewhere["watchers"][1] not in (other, BERT_MAIL)


def test_ones_own_document_is_whole_whatever_is_where_others_are_named(
    odd: Connection, data_map: DataMap
) -> None:
    documents: list[Any] = [
        {"title": "none", "authors": None, "unknown": {"authors": [1]}},
        {"title": "empty", "authors": []},
        {"title": "no list", "authors": {"more": 1}},
        {"title": "absent"},
        {"authors": [None]},
        [], {}, "text", None,
    ]  # fmt: skip
    for number, document in enumerate(documents):
        odd.execute(
            f"INSERT INTO {ODD_SQL} (owner, big, doc) VALUES (%s, %s, %s)",
            (ANNA, number, json.dumps(document)),
        )
    shown = sorted(rows(odd, data_map, ODD, "owner"), key=lambda row: int(row["big"]))
    assert [row["doc"] for row in shown] == documents


def test_of_rows_that_are_shared_only_ones_own_part(odd: Connection, data_map: DataMap) -> None:
    document = {
        "note": CANARY,
        "state": "open",
        "unknown": CANARY,
        "members": [
            {"id": str(BERT), "name": CANARY, "seat": 1},
            {"id": str(ANNA), "name": "Anna", "seat": 2, "unknown": "hers"},
        ],
    }
    odd.execute("INSERT INTO shared VALUES (1, %s, %s, %s)", (BERT, json.dumps(document), [BERT, ANNA]))
    odd.execute("INSERT INTO shared VALUES (2, %s, '{}', '{}')", (BERT,))
    [row] = rows(odd, data_map, "shared", "member")
    assert CANARY not in json.dumps(row)
    assert set(row) == {"id", "doc", "team"}
    assert set(row["doc"]) == {"note", "state", "members"}
    assert (row["doc"]["note"], row["doc"]["state"]) == (None, "open")
    assert row["doc"]["members"][0]["name"] is None
    assert row["doc"]["members"][1] == {"id": str(ANNA), "name": "Anna", "seat": 2, "unknown": "hers"}
    # The same person has the same name in an array and in a document.
    assert row["team"] == [row["doc"]["members"][0]["id"], str(ANNA)]
    assert rows(odd, data_map, "shared", "team") == [{"id": 1}]
    assert rows(odd, data_map, "shared", "owner") == []


def test_whom_a_row_belongs_to_as_well(odd: Connection, data_map: DataMap) -> None:
    [row] = rows(odd, data_map, "people", "self")
    assert row["boss"].startswith("person-")
    odd.execute("UPDATE people SET boss = id WHERE id = %s", (ANNA,))
    assert rows(odd, data_map, "people", "self") == [
        {"id": str(ANNA), "email": "anna@example.org", "boss": str(ANNA)}
    ]


def test_large_tables_are_lines_and_large_documents_pass(odd: Connection, data_map: DataMap) -> None:
    odd.execute(
        f"INSERT INTO {ODD_SQL} (owner, big, doc) SELECT %s, n, jsonb_build_object('title', "
        "repeat(md5(n::text), 320000)) FROM generate_series(1, 3) AS n",
        (ANNA,),
    )
    archive = exported(odd, data_map)
    [path] = [name for name in archive.namelist() if name.endswith(".jsonl")]
    lines = archive.read(path).splitlines()
    assert sorted(json.loads(line)["big"] for line in lines) == [1, 2, 3]
    assert all(len(line) > 10_000_000 for line in lines)


def test_rows_that_a_policy_hides_are_an_error_and_no_gap(
    odd: Connection, data_map: DataMap, demo_cluster: PostgresCluster
) -> None:
    odd.execute("INSERT INTO shared VALUES (1, %s, '{}', '{}')", (ANNA,))
    odd.execute("ALTER TABLE shared ENABLE ROW LEVEL SECURITY")
    with postgres.connect(demo_cluster.url("ops_worker", "odd")) as hidden, pytest.raises(CheckFailed):
        exported(hidden, data_map)
    with postgres.connect(demo_cluster.url("ops_eraser", "odd")) as whole:
        assert "data/shared/owner.json" in exported(whole, data_map).namelist()


def test_one_moment_and_no_change(odd: Connection, data_map: DataMap, demo_cluster: PostgresCluster) -> None:
    """Rows that come while it runs are not in it, and it could not write if it wanted to."""
    odd.execute("INSERT INTO shared VALUES (1, %s, '{}', '{}')", (ANNA,))
    states: list[tuple[str, str]] = []

    def meanwhile(place: str, count: int) -> None:
        odd.execute("INSERT INTO shared SELECT max(id) + 1, %s, '{}', '{}' FROM shared", (ANNA,))
        row = exporting.execute(
            "SELECT current_setting('transaction_isolation') AS a, "
            "current_setting('transaction_read_only') AS b"
        ).fetchone()
        assert row is not None
        states.append((row["a"], row["b"]))

    def none(bucket: str) -> ObjectStore:
        raise AssertionError(bucket)

    with postgres.connect(demo_cluster.url("ops_eraser", "odd")) as exporting:
        wanted = ExportRequest(str(ANNA), "en", datetime(2026, 3, 1, tzinfo=UTC))
        effects = export_content.write(exporting, data_map, wanted, io.BytesIO(), none, meanwhile)
    assert [one.changed for one in effects if (one.place, one.role) == ("shared", "owner")] == [1]
    assert set(states) == {("repeatable read", "on")}
