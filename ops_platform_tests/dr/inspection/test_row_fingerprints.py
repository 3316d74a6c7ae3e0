"""Hashes of rows depend on the rows alone; what they leave out, and what is no time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.dr.inspection import row_fingerprints as fingerprint
from ops_platform.dr.inspection.row_fingerprints import ClosedRows, LiveTable, LiveTables
from ops_platform.errors import CheckFailed
from ops_platform_tests.services import OpsDatabase

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

SCHEMA = """
CREATE TABLE things (
    id int PRIMARY KEY, at timestamptz, seen timestamp, day date, ratio float8, body jsonb, raw bytea,
    lasted interval, cash money, kind regclass, tags text[]
);
INSERT INTO things
SELECT i, timestamptz '2026-05-01 00:00+00' + i * interval '1 minute',
       timestamp '2026-04-01' + i * interval '1 hour',
       date '2026-04-01' + i / 24, i / 3.0, jsonb_build_object('i', i), decode(md5(i::text), 'hex'),
       i * interval '31 hours', i, 'things'::regclass, ARRAY[i::text, NULL]
FROM generate_series(1, 1500) AS i;
CREATE UNLOGGED TABLE lost (n int);
CREATE TABLE few (n int);
INSERT INTO few SELECT generate_series(1, 20);
"""


@pytest.fixture(scope="module")
def database(ops_databases: object) -> Iterator[OpsDatabase]:
    made = ops_databases.create()  # type: ignore[attr-defined]
    with made.superuser() as superuser:
        superuser.execute("CREATE SCHEMA zoo; SET search_path = zoo;" + SCHEMA)
    yield made
    ops_databases.drop(made)  # type: ignore[attr-defined]


@pytest.fixture
def connection(database: OpsDatabase) -> Iterator[Connection]:
    """A superuser's, rolled back at the end."""
    with postgres.connect(database.cluster.superuser_dsn(database.name)) as one:
        yield one
        one.rollback()


def closed(connection: Connection, column: str = "at", until: datetime = NOON) -> ClosedRows:
    fingerprint.fix_session(connection)
    return fingerprint.closed_rows(connection, "zoo.things", column, until)


@pytest.mark.services
def test_the_session_it_is_read_in_does_not_matter(connection: Connection) -> None:
    first = closed(connection)
    assert first.rows == 719
    for setting in (
        "TimeZone = 'Asia/Kolkata'",
        "DateStyle = 'German'",
        "IntervalStyle = 'iso_8601'",
        "extra_float_digits = -5",
        "bytea_output = 'escape'",
        "search_path = zoo",
        "enable_seqscan = off",
    ):
        connection.execute(f"SET {setting}")
    assert closed(connection) == first


@pytest.mark.services
def test_the_order_and_place_of_rows_do_not_matter(connection: Connection) -> None:
    first = closed(connection)
    connection.execute("CREATE TABLE zoo.copy (LIKE zoo.things)")
    connection.execute("INSERT INTO zoo.copy SELECT * FROM zoo.things ORDER BY id DESC")
    fingerprint.fix_session(connection)
    assert fingerprint.closed_rows(connection, "zoo.copy", "at", NOON) == first


@pytest.mark.services
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE zoo.things SET ratio = ratio + 1e-14 WHERE id = 3",
        "UPDATE zoo.things SET tags = ARRAY['3', 'NULL'] WHERE id = 3",
        "UPDATE zoo.things SET tags = NULL WHERE id = 3",
        "UPDATE zoo.things SET lasted = lasted + interval '1 microsecond' WHERE id = 3",
        "UPDATE zoo.things SET id = -3 WHERE id = 3",
        "UPDATE zoo.things SET cash = (SELECT cash FROM zoo.things WHERE id = 4) WHERE id = 3",
        "UPDATE zoo.things t SET body = o.body FROM zoo.things o WHERE (t.id, o.id) IN ((3, 4), (4, 3))",
    ],
)
def test_any_change_of_a_row_shows(connection: Connection, change: str) -> None:
    first = closed(connection)
    connection.execute(change)
    assert closed(connection).rows == first.rows
    assert closed(connection) != first


@pytest.mark.services
def test_rows_at_and_after_the_marker_do_not_count(connection: Connection) -> None:
    first = closed(connection)
    connection.execute("UPDATE zoo.things SET ratio = 0 WHERE at >= %s", (NOON,))
    assert closed(connection) == first
    connection.execute("UPDATE zoo.things SET ratio = 0 WHERE at >= %s - interval '1 minute'", (NOON,))
    assert closed(connection) != first


@pytest.mark.services
def test_parts_add_up_to_the_whole(connection: Connection) -> None:
    for column in ("at", "seen", "day"):
        whole, middle = (
            closed(connection, column),
            NOON - timedelta(days=5 if column == "day" else 0, hours=5),
        )
        late = fingerprint.closed_rows(connection, "zoo.things", column, NOON, middle)
        assert late.rows > 0
        assert closed(connection, column, middle) + late == whole


@pytest.mark.services
def test_a_column_that_came_later_changes_nothing_of_what_was_hashed(connection: Connection) -> None:
    first = closed(connection)
    connection.execute("ALTER TABLE zoo.things ADD COLUMN extra int DEFAULT 7")
    assert closed(connection) != first
    assert fingerprint.closed_rows(connection, "zoo.things", "at", NOON, hashed=first.columns) == first


@pytest.mark.services
@pytest.mark.parametrize(
    ("table", "column"), [("zoo.nothing", "at"), ("zoo.things", "nothing"), ("zoo.things", "id")]
)
def test_what_is_declared_wrongly(connection: Connection, table: str, column: str) -> None:
    with pytest.raises(CheckFailed, match=r"correct append_only in backups.yaml"):
        fingerprint.closed_rows(connection, table, column, NOON)


@pytest.mark.services
def test_tables_are_counted_up_to_a_million(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "EXACT_ROWS", 20)
    found = fingerprint.live_tables(connection)
    assert isinstance(found, LiveTables)
    assert found.tables["zoo.few"].rows == 20
    assert found.tables["zoo.things"].rows is None
    assert "zoo.lost" not in found.tables
    assert not [name for name in found.tables if name.startswith("pg_")]
    monkeypatch.setattr(fingerprint, "EXACT_ROWS", 19)
    assert fingerprint.live_tables(connection).tables["zoo.few"].rows is None


@pytest.mark.services
def test_what_may_not_be_read_is_named(database: OpsDatabase) -> None:
    with postgres.connect(database.url("ops_worker")) as worker:
        found = fingerprint.live_tables(worker)
    assert "zoo.few" in found.unread
    assert "public.dr_references" in found.tables


@pytest.mark.services
def test_a_rewritten_table_has_another_file_and_a_new_one_another_oid(connection: Connection) -> None:
    first = fingerprint.live_tables(connection).tables["zoo.few"]
    connection.execute("TRUNCATE zoo.few")
    second = fingerprint.live_tables(connection).tables["zoo.few"]
    connection.execute("DROP TABLE zoo.few; CREATE TABLE zoo.few (n int)")
    third = fingerprint.live_tables(connection).tables["zoo.few"]
    assert first.oid == second.oid != third.oid
    assert len({first.file, second.file, third.file}) == 3
    assert (first.rows, second.rows) == (20, 0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("timestamp with time zone", NOON),
        ("timestamp(3) with time zone", NOON),
        ("timestamp without time zone", datetime(2026, 4, 30, 12)),
        ("date", date(2026, 4, 30)),
        ("text", None),
        ("time with time zone", None),
    ],
)
def test_when_rows_of_a_type_are_closed(kind: str, expected: object) -> None:
    assert fingerprint.closing_limit(kind, NOON) == expected
    assert fingerprint.closing_limit(kind, NOON.astimezone()) == expected


@given(hours=st.integers(-12, 14), written=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)))
def test_whoever_stamps_in_his_own_zone_is_not_closed_too_early(hours: int, written: datetime) -> None:
    """A row that is written now is never stamped before a marker of the past."""
    now = written.replace(tzinfo=UTC)
    local = written + timedelta(hours=hours)
    marker = now - timedelta(seconds=120)
    day, moment = (
        fingerprint.closing_limit("date", marker),
        fingerprint.closing_limit("timestamp without time zone", marker),
    )
    assert isinstance(day, date)
    assert isinstance(moment, datetime)
    assert not local.date() < day
    assert not local < moment


def test_a_live_table_is_five_numbers() -> None:
    assert LiveTable(1, 2, 3) == LiveTable(1, 2, 3, 0, 0)
