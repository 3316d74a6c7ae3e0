"""The residue scan finds a name wherever it stands by itself, in columns that no map knows too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr import spellings
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import residue_scan as residue
from ops_platform.gdpr.row_erasure.scan_tests import Shared
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.local.demo import people
from ops_platform.local.servers.postgres_cluster import PostgresCluster

pytestmark = pytest.mark.services


def stands(text: str, inside: str) -> bool:
    """The definition: letters, digits and _ make a name, and dots and hyphens between them."""

    def letter(char: str) -> bool:
        return char.isalnum() or char == "_"

    text, inside = text.lower(), inside.lower()
    at = inside.find(text)
    while at >= 0:
        before, after = inside[:at][::-1], inside[at + len(text) :]
        if not any(letter(side[1:2] if side[:1] in (".", "-") else side[:1]) for side in (before, after)):
            return True
        at = inside.find(text, at + 1)
    return False


@pytest.fixture(scope="module")
def server(demo_cluster: PostgresCluster) -> Iterator[Connection]:
    connection = postgres.connect(demo_cluster.url("ops_worker"), autocommit=True)
    yield connection
    connection.close()


NAMES = st.text("ab3.-_+@\\\"'()|$^[]*ÄéZ", min_size=1, max_size=6)
SIDES = st.text("ab3.-_+@ \\\"'()|$^[]*ÄéZ", min_size=1, max_size=6)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SIDES, NAMES, SIDES)
def test_where_a_name_stands_by_itself(server: Connection, before: str, name: str, after: str) -> None:
    inside = before + name + after
    [row] = server.execute("SELECT %s ~* %s AS found", (inside, spellings.expression([name]))).fetchall()
    assert row["found"] == stands(name, inside)


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ("by tomas.horvath.3.", True),
        ("tomas.horvath.30", False),
        ("old.tomas.horvath.3", False),
        ("tomas.horvath.3@example.org", True),
        ("TOMAS.HORVATH.3", True),
        ("(tomas.horvath.3)", True),
        ("tomas_horvath_3", False),
    ],
)
def test_of_handles_that_begin_each_other(server: Connection, inside: str, found: bool) -> None:
    pattern = spellings.expression(["tomas.horvath.3"])
    assert server.execute("SELECT %s ~* %s AS f", (inside, pattern)).fetchall() == [{"f": found}]


def test_every_kind_of_column(demo: Connection) -> None:
    name, uuid = 'o"neill\\7', "6f1c6a1e-0000-4000-8000-00000000abcd"
    demo.execute(
        """
        CREATE TABLE forgotten (
            a text, b varchar(40), c jsonb, d text[], e uuid, f uuid[], g json, h tsvector, i bytea,
            "J k" text, l char(20))
        """
    )
    columns = {
        "a": f"see {name}!",
        "b": name,
        "c": json.dumps({"deep": [{"who": name}]}),
        "d": ["x", name],
        "e": uuid,
        "f": [UUID(uuid)],
        "g": json.dumps([uuid]),
        "J k": f"<{name}>",
        "l": name,
    }
    for column, value in columns.items():
        demo.execute(f'INSERT INTO forgotten ("{column}") VALUES (%s)', (value,))
    demo.execute("INSERT INTO forgotten (a) VALUES ('nothing')")
    found = residue.scan(demo, catalogue.read(demo), [name, UUID(uuid), 12345, "ab"])
    table = Name("public", "forgotten")
    assert {one.column: one.rows for one in found if one.table == table} == dict.fromkeys(columns, 1)


def test_columns_of_every_type_that_a_name_fits_into(demo: Connection) -> None:
    name, uuid = "anna.erased@example.org", "6f1c6a1e-0000-4000-8000-00000000abcd"
    demo.execute(
        """
        CREATE DOMAIN address AS text; CREATE DOMAIN work_address AS address;
        CREATE DOMAIN addresses AS text[]; CREATE DOMAIN opaque AS uuid; CREATE DOMAIN opaques AS uuid[];
        CREATE TYPE contact AS (name text, address text);
        CREATE TYPE names AS RANGE (subtype = text);
        CREATE TYPE one_of AS ENUM ('x', 'anna.erased@example.org');
        CREATE COLLATION whatever (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE forgotten (
            a work_address, b work_address[], c addresses, d opaque, e opaques, f contact, g contact[],
            h names, i one_of, j bytea, k bytea, l name, m text COLLATE whatever, n jsonb[])
        """
    )
    columns = {
        "a": name,
        "b": "{x," + name + "}",
        "c": "{" + name + "}",
        "d": uuid,
        "e": "{" + uuid + "}",
        "f": f"(Anna,{name})",
        "g": '{"(Anna,' + name + ')"}',
        "h": f"[{name},{name}z)",
        "i": name,
        "j": b"\x00\xff" + name.encode() + b"\x00",
        "k": b"\x01" + UUID(uuid).bytes,
        "l": name,
        "m": name.upper(),
        "n": r'{"{\"to\": \"' + name + r'\"}"}',
    }
    for column, value in columns.items():
        demo.execute(f'INSERT INTO forgotten ("{column}") VALUES (%s)', (value,))
    found = residue.scan(demo, catalogue.read(demo), [name, UUID(uuid)])
    table = Name("public", "forgotten")
    assert {one.column: one.rows for one in found if one.table == table} == dict.fromkeys(columns, 1)


@pytest.mark.parametrize(
    "inside",
    [
        "usr_6f1c6a1e-0000-4000-8000-00000000abcd",
        "photos/6f1c6a1e-0000-4000-8000-00000000abcd.jpg",
        "6f1c6a1e-0000-4000-8000-00000000abcd_thumb",
        "6F1C6A1E00004000800000000000ABCD",
        "https://example.org/?who=zo%C3%AB%2Berased%40example.org&x=1",
        "to zoe\u0308+erased@example.org",
        r'{"to": "zo\u00eb+erased@example.org"}',
    ],
)
def test_other_spellings_of_the_same(server: Connection, inside: str) -> None:
    names = ["6f1c6a1e-0000-4000-8000-00000000abcd", "zoë+erased@example.org"]
    pattern = spellings.expression(names)
    assert server.execute("SELECT %s ~* %s AS f", (inside, pattern)).fetchall() == [{"f": True}]


def test_all_that_the_map_knows_is_found_without_it(demo: Connection, demo_map: DataMap) -> None:
    known = catalogue.read(demo)
    [named] = demo.execute(
        """
        SELECT metadata #>> '{co_authors,0,id}' AS id FROM posts
        WHERE metadata #>> '{co_authors,0,id}' IS NOT NULL ORDER BY id LIMIT 1
        """
    ).fetchall()
    found = set()
    for key in (str(people.creator_id(1)), named["id"]):
        who = subject_rows.identity(demo, demo_map, known, key)
        assert who is not None
        found |= {(str(one.table), one.column) for one in residue.scan(demo, known, who.values.values())}
    assert {
        ("creators", "id"),
        ("creators", "email"),
        ("creator_stats", "creator_id"),
        ("follows", "follower_id"),
        ("posts", "metadata"),
        ("usage_logs", "creator_id"),
        ("workflows", "definition"),
        ("audit_logs", "subject_id"),
        ("audit_logs", "message"),
        ("webhook_deliveries", "payload"),
    } <= found
    assert not any(table.startswith("usage_logs_") for table, _ in found)


def test_several_subjects_in_one_pass(demo: Connection) -> None:
    demo.execute("CREATE TABLE forgotten (n int, a text, lowered_0 text)")
    demo.execute("INSERT INTO forgotten VALUES (1, 'anna.erased', NULL), (2, 'bob.erased', 'anna.erased')")
    known, table = catalogue.read(demo), Name("public", "forgotten")
    skipped = {table: sql.SQL("t.n = 2")}
    found = residue.scan_each(
        demo,
        known,
        [
            residue.Search(("anna.erased",)),
            residue.Search(("bob.erased",)),
            residue.Search(("bob.erased",), skipped),
            residue.Search(("nobody.erased", 12345, "ab", "student")),
        ],
    )
    assert [{hit.column: hit.rows for hit in hits if hit.table == table} for hits in found] == [
        {"a": 1, "lowered_0": 1},
        {"a": 1},
        {},
        {},
    ]


def test_names_of_others_are_no_hits(demo: Connection) -> None:
    demo.execute("CREATE TABLE forgotten (a text)")
    demo.execute("INSERT INTO forgotten VALUES ('anna.k+test@example.org'), ('x anna.k+shop@example.org')")
    known, table = catalogue.read(demo), Name("public", "forgotten")
    shared = Shared(others=("anna.k+test@example.org",))
    [found] = residue.scan_each(demo, known, [residue.Search(("anna.k@example.org",), shared=shared)])
    assert [hit.rows for hit in found if hit.table == table] == [1]
