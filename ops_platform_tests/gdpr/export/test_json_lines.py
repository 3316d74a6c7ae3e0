"""Rows as lines of JSON, with texts that travel beside: the same as what the database makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.export import json_lines as export_lines
from ops_platform_tests.services import OpsDatabases

pytestmark = pytest.mark.services

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAMES = st.lists(TEXTS.filter(lambda name: 0 < len(name.encode()) < 64), min_size=1, max_size=3, unique=True)


@pytest.fixture(scope="module")
def connection(ops_databases: OpsDatabases) -> Iterator[Connection]:
    database = ops_databases.create()
    with postgres.connect(database.url("ops_worker")) as connection:
        yield connection


def lines(connection: Connection, query: str, texts: list[str]) -> list[str]:
    blocks = list(export_lines.read(connection, sql.SQL(query), texts))
    connection.rollback()
    *found, rest = b"".join(block.lines for block in blocks).decode().split("\n")
    assert rest == ""
    assert sum(block.rows for block in blocks) == len(found)
    return found


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES, data=st.data())
def test_a_text_beside_the_json_is_as_good_as_one_in_it(
    connection: Connection, names: list[str], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(*(st.none() | TEXTS for _ in names)), max_size=4))
    values = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(
            n, sql.SQL(", ").join(sql.SQL("CAST({} AS text)").format(one) for one in row)
        )
        for n, row in enumerate(rows)
    )
    query = sql.SQL("SELECT json_build_object('n', n), {} FROM (VALUES {}) AS v (n, {}) ORDER BY n").format(
        sql.SQL(", ").join(sql.Identifier(f"c{n}") for n, _ in enumerate(names)),
        values if rows else sql.SQL("(0, {})").format(sql.SQL(", ").join(sql.NULL for _ in names)),
        sql.SQL(", ").join(sql.Identifier(f"c{n}") for n, _ in enumerate(names)),
    )
    if not rows:
        query = sql.SQL("SELECT * FROM ({}) AS q LIMIT 0").format(query)
    found = [json.loads(line) for line in lines(connection, query.as_string(connection), names)]
    assert found == [{"n": n, **dict(zip(names, row, strict=True))} for n, row in enumerate(rows)]


def test_a_json_text_of_several_lines_is_one_line(connection: Connection) -> None:
    (line,) = lines(connection, "SELECT CAST(E'{\"a\":\\r\\n [1,\\n2.50]}' AS json)", [])
    assert line == '{"a":   [1, 2.50]}'


def test_blocks_hold_whole_rows_and_are_no_larger_than_they_must(connection: Connection) -> None:
    query = "SELECT json_build_object('n', n), repeat('x', 1000) FROM generate_series(1, 2000) AS n"
    blocks = list(export_lines.read(connection, sql.SQL(query), ["text"]))
    connection.rollback()
    assert len(blocks) > 3
    assert all(len(block.lines) < export_lines.BLOCK + 2000 for block in blocks)
    numbers = [json.loads(line)["n"] for block in blocks for line in block.lines.splitlines()]
    assert numbers == list(range(1, 2001))
