"""Retention on a real database: what goes, what stays, what is refused, and what is on record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg import sql

from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr import schema
from ops_platform.gdpr.data_map import DataMap, Period, RetentionTerm
from ops_platform.gdpr.retention import daily_run, retention_store, sweep
from ops_platform.gdpr.retention.due_rows import DueRows
from ops_platform.gdpr.retention.outcome import Report, TableOutcome
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.subject import SubjectKey
from ops_platform.gdpr.tombstones import legal_holds
from ops_platform_tests.gdpr import catalogues
from ops_platform_tests.gdpr.erasing import Product, map_of
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, seen timestamptz);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, placed date NOT NULL);
CREATE INDEX ON orders (user_id);
CREATE TABLE items (id int PRIMARY KEY, order_id int NOT NULL REFERENCES orders, note text, made timestamp);
CREATE INDEX ON items (order_id);
CREATE TABLE letters (id int PRIMARY KEY, address text, answers int REFERENCES letters, at timestamptz);
CREATE INDEX ON letters (answers);
CREATE INDEX ON letters (address);
CREATE TABLE visits (id int, user_id int REFERENCES users, ip text, at timestamptz, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE visits_new PARTITION OF visits DEFAULT;
CREATE INDEX ON visits (user_id);
-- That a review is about an item only the map says.
CREATE TABLE reviews (id int PRIMARY KEY, item_id int);
CREATE INDEX ON reviews (item_id);
INSERT INTO users SELECT n, 'user' || n || '@x.example', now() FROM generate_series(1, 9) AS n;
-- Two of three are old; each has three items; letters answer each other.
INSERT INTO orders SELECT n, 1 + n % 9, CASE WHEN n % 3 = 0 THEN current_date ELSE '2020-05-01' END
    FROM generate_series(1, 90) AS n;
INSERT INTO items SELECT n, 1 + (n - 1) / 3, 'note',
    CASE WHEN (1 + (n - 1) / 3) % 3 = 0 THEN now() AT TIME ZONE 'UTC' ELSE '2020-05-01' END
    FROM generate_series(1, 270) AS n;
INSERT INTO letters SELECT n, 'user' || 1 + n % 9 || '@x.example', nullif(n - 1, 0), '2020-05-01'
    FROM generate_series(1, 20) AS n;
INSERT INTO letters VALUES (21, 'user1@x.example', NULL, now()), (22, 'user1@x.example', NULL, NULL);
INSERT INTO visits SELECT n, 1 + n % 9, '10.0.0.' || n, CASE WHEN n < 50 THEN '2024-05-01' ELSE now() END
    FROM generate_series(1, 60) AS n;
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users:
    personal: [email]
    plain: [seen]
    rows: [{role: account, column: id, erase: delete}]
  orders:
    plain: [id, placed]
    retention: {after: P2Y, of: placed, zone: Europe/Paris, do: delete}
    rows: [{role: buyer, column: user_id, erase: delete}]
  items:
    plain: [id, note, made]
    retention: {after: P1Y6M, of: made, zone: UTC, do: delete}
    rows: [{role: buyer, column: order_id, through: orders, to: id, erase: delete}]
  letters:
    plain: [id, at, answers]
    retention: {after: P90D, of: at, do: delete}
    rows:
      - role: writer
        column: address
        holds: email
        erase: {delete_unless_referenced: {address: {value: gone}}}
  visits:
    personal: [ip]
    plain: [id, at]
    retention: {after: P30D, of: at, do: anonymise}
    rows: [{role: visitor, column: user_id, erase: {anonymise: {user_id: null, ip: {value: gone}}}}]
  reviews:
    plain: [id]
    rows: [{role: about, column: item_id, through: items, to: id, erase: {anonymise: {item_id: null}}}]
"""


@pytest.fixture
def shop(bare_product: Product) -> Product:
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
    return bare_product


@pytest.fixture
def data_map(tmp_path: Path) -> DataMap:
    return map_of(tmp_path, MAP)


@contextmanager
def connections(shop: Product, ops_database: OpsDatabase) -> Iterator[tuple[Connection, Connection]]:
    with (
        shop.eraser() as eraser,
        postgres.session(ops_database.url(), autocommit=True) as ops,
    ):
        yield eraser, ops


def ran(shop: Product, ops_database: OpsDatabase, data_map: DataMap) -> Report:
    with connections(shop, ops_database) as (eraser, ops):
        return daily_run.run(eraser, ops, data_map, "product", actor="test")


def foreseen(shop: Product, ops_database: OpsDatabase, data_map: DataMap) -> Report:
    with connections(shop, ops_database) as (eraser, ops):
        return daily_run.dry_run(eraser, ops, data_map, "product")


def changed(report: Report) -> dict[str, int]:
    return {table.table: table.changed for table in report.tables}


def of(report: Report, name: str) -> TableOutcome:
    [outcome] = [table for table in report.tables if table.table == name]
    return outcome


def numbers(shop: Product, query: str) -> list[tuple[object, ...]]:
    with shop.cluster.superuser(shop.name) as connection:
        return connection.execute(query).fetchall()


def rows(shop: Product, table: str) -> int:
    [(count,)] = numbers(shop, f"SELECT count(*) FROM {table}")
    return int(str(count))


def hold(ops_database: OpsDatabase, key: str) -> int:
    with postgres.session(ops_database.url()) as ops:
        subject = SubjectKey("product", "user", key, "integer")
        return legal_holds.place(ops, subject, "claim", "test", datetime.now(UTC)).id


ALL = {"orders": 60, "items": 180, "letters": 20, "visits": 49}


def test_what_is_due_goes_and_nothing_else_and_all_of_it_is_on_record(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    before = shop.digest()
    plan = foreseen(shop, ops_database, data_map)
    assert changed(plan) == ALL
    assert plan.problems == []
    assert of(plan, "letters").at_most
    assert shop.digest() == before, "a dry run changes nothing"
    report = ran(shop, ops_database, data_map)
    assert changed(report) == ALL
    assert report.problems == []
    assert {name: rows(shop, name) for name in ("users", "orders", "items", "letters", "visits")} == {
        "users": 9, "orders": 30, "items": 90, "letters": 2, "visits": 60,
    }  # fmt: skip
    assert numbers(shop, "SELECT count(*) FROM visits WHERE user_id IS NULL AND ip = 'gone'") == [(49,)]
    assert of(report, "letters").counts is not None
    assert of(report, "letters").counts.undated == 1  # type: ignore[union-attr]
    assert numbers(shop, "SELECT count(*) FROM ops_platform.erasures") == [(0,)]
    with connections(shop, ops_database) as (_, ops):
        lineage = ops.execute(
            "SELECT object, affected, count_after FROM gdpr_lineage "
            "WHERE request_id = %s AND store IS NOT NULL",
            (report.run_id,),
        ).fetchall()
        assert {row["object"]: row["affected"] for row in lineage} == ALL
        assert {row["count_after"] for row in lineage} == {0}
        [event] = ops.execute("SELECT details FROM audit_events WHERE action = 'gdpr.retention'").fetchall()
        assert {one["table"]: one["changed"] for one in event["details"]["tables"]} == ALL
        assert "user1" not in json.dumps(event["details"])
        assert {look.table: look.overdue for look in retention_store.looks(ops)} == dict.fromkeys(ALL, 0)
    assert set(changed(ran(shop, ops_database, data_map)).values()) == {0}, "the next run finds nothing"


def test_rows_under_a_hold_stay_with_what_they_refer_to_until_it_is_released(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    number = hold(ops_database, "2")
    # Of user 2: 10 old orders with 30 items, and letters 1, 10 and 19, which answers all before it.
    plan = foreseen(shop, ops_database, data_map)
    report = ran(shop, ops_database, data_map)
    assert report.problems == []
    mine = "SELECT count(*) FROM orders WHERE user_id = 2 AND placed < '2021-01-01'"
    assert numbers(shop, mine) == [(10,)]
    assert numbers(shop, "SELECT count(*) FROM items JOIN orders AS o ON o.id = order_id WHERE user_id = 2 "
                         "AND made < '2021-01-01'") == [(30,)]  # fmt: skip
    assert numbers(shop, "SELECT count(*) FROM visits WHERE user_id = 2 AND at < now() - interval '1 y'")[
        0
    ] != (0,)
    assert changed(report)["orders"] == changed(plan)["orders"] == 50
    assert changed(report)["items"] == changed(plan)["items"] == 150
    assert changed(report)["letters"] == 1
    counts = of(report, "orders").counts
    assert counts is not None
    assert (counts.due, counts.held, counts.overdue) == (10, 10, 0)
    with postgres.session(ops_database.url()) as ops:
        legal_holds.release(ops, number, "test", datetime.now(UTC))
    assert changed(ran(shop, ops_database, data_map))["orders"] == 10


def test_rows_that_stay_refer_to_what_is_due_and_keep_it_and_say_so(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    with shop.owner() as owner:
        owner.execute("INSERT INTO reviews VALUES (1, 1)")
    plan, report = foreseen(shop, ops_database, data_map), ran(shop, ops_database, data_map)
    assert changed(plan) == changed(report) == {**ALL, "orders": 59, "items": 179}
    assert plan.problems == report.problems
    assert len(report.problems) == 2
    assert "items: 1 rows whose term is over stay" in report.problems[1]
    assert "give reviews a term" in report.problems[1]
    assert rows(shop, "reviews") == 1
    with connections(shop, ops_database) as (_, ops):
        overdue = {look.table: look.overdue for look in retention_store.looks(ops)}
    assert overdue == {"items": 1, "orders": 1, "letters": 0, "visits": 0}


def test_a_trigger_that_does_more_keeps_everything_as_it_was_and_other_tables_go_on(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    with shop.owner() as owner:
        owner.execute(
            "CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "DELETE FROM users WHERE id = 9; RETURN old; END $$;"
            "CREATE TRIGGER spread BEFORE DELETE ON letters FOR EACH ROW EXECUTE FUNCTION spread();"
            "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey;"
            "ALTER TABLE visits DROP CONSTRAINT visits_user_id_fkey;"
        )
    report = ran(shop, ops_database, data_map)
    assert rows(shop, "users") == 9
    assert rows(shop, "letters") == 22
    assert changed(report) == {**ALL, "letters": 0}
    [problem] = report.problems
    assert problem.startswith("letters: users: 0 inserted, 0 updated, 1 deleted rows where")


def test_a_map_that_does_not_fit_changes_nothing(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    with shop.owner() as owner:
        owner.execute("ALTER TABLE users ADD phone text")
        with pytest.raises(CheckFailed, match="unclassified-column"):
            ran(shop, ops_database, data_map)
        owner.execute("ALTER TABLE users DROP phone; ALTER TABLE letters ALTER at TYPE text")
        with pytest.raises(CheckFailed, match=r"letters\.at: is text"):
            ran(shop, ops_database, data_map)
    assert rows(shop, "orders") == 90


def test_whoever_is_held_without_a_row_stops_what_cannot_be_told_apart(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    hold(ops_database, "77")
    report = ran(shop, ops_database, data_map)
    assert changed(report) == {**ALL, "letters": 0}
    assert of(report, "letters").counts is None, "unknown is not none"
    assert "nobody can tell which of them the hold keeps" in report.problems[0]
    with connections(shop, ops_database) as (_, ops):
        [look] = [look for look in retention_store.looks(ops) if look.table == "letters"]
    assert (look.overdue, look.looked_at) == (None, None)


class Killed(BaseException):
    """Nothing catches it: what the process was doing is not done, as after SIGKILL."""


@pytest.mark.full
@pytest.mark.parametrize("place", ["before_commit", "after_commit", "before_record", "before_forget"])
def test_a_killed_run_is_gone_on_with_and_counts_everything_once(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_run, "Sweep", partial(sweep.Sweep, size=7))
    batches = 0

    def dying(*_: object, **__: object) -> None:
        raise Killed

    changing, batching = sweep.Sweep._change, sweep.Sweep._batch

    def change(self: sweep.Sweep, *given: object) -> int:
        nonlocal batches
        done = changing(self, *given)  # type: ignore[arg-type]
        batches += 1
        if batches == 9 and place == "before_commit":
            raise Killed
        return done

    def batch(self: sweep.Sweep, *given: object) -> int:
        done = batching(self, *given)  # type: ignore[arg-type]
        if batches == 9 and place == "after_commit":
            raise Killed
        return done

    with monkeypatch.context() as patched:
        patched.setattr(sweep.Sweep, "_change", change)
        patched.setattr(sweep.Sweep, "_batch", batch)
        if place == "before_record":
            patched.setattr(retention_store, "finish", dying)
        if place == "before_forget":
            patched.setattr(Journal, "forget", dying)
        with pytest.raises(Killed):
            ran(shop, ops_database, data_map)
    report = ran(shop, ops_database, data_map)
    assert report.problems == []
    with connections(shop, ops_database) as (_, ops):
        [total] = ops.execute(
            "SELECT sum(affected)::int AS rows FROM gdpr_lineage WHERE store IS NOT NULL"
        ).fetchall()
        assert total["rows"] == sum(ALL.values()), "each row is counted once"
        [open_runs] = ops.execute(
            "SELECT count(*) AS n FROM gdpr_retention_runs WHERE finished_at IS NULL"
        ).fetchall()
        assert open_runs["n"] == 0
    assert rows(shop, "letters") == 2
    assert numbers(shop, "SELECT count(*) FROM ops_platform.erasures") == [(0,)]


def test_a_second_run_at_the_same_time_is_refused(
    shop: Product, ops_database: OpsDatabase, data_map: DataMap
) -> None:
    with postgres.session(ops_database.url(), autocommit=True) as other:
        assert postgres.try_lock(other, "gdpr/retention/run/product")
        with pytest.raises(CheckFailed, match="another run"):
            ran(shop, ops_database, data_map)
    assert replace(of(foreseen(shop, ops_database, data_map), "orders"), counts=None).changed == 60


def test_the_command_foresees_without_an_ops_database_and_carries_out_with_one(
    shop: Product, ops_database: OpsDatabase, tmp_path: Path, data_map: DataMap
) -> None:
    environment = {name: "" for name in os.environ if name.startswith("OPS_")}
    environment |= {
        "OPS_PRODUCT_ERASER_DATABASE_URL": shop.cluster.url("ops_eraser", shop.name),
        "OPS_PRODUCT_DATABASE_URL": shop.cluster.url("product_owner", shop.name),
    }
    asked = ["gdpr", "retention", "--data-map", str(tmp_path / "data_map.yaml")]
    foreseen = CliRunner().invoke(cli, [*asked, "--dry-run", "--json"], env=environment)
    assert foreseen.exit_code == 0, foreseen.exception
    said = json.loads(foreseen.stdout)
    assert (said["dry_run"], said["holds_known"]) == (True, False)
    assert {one["table"]: one["changed"] for one in said["tables"]} == ALL
    assert (
        "legal holds are not known" in CliRunner().invoke(cli, [*asked, "--dry-run"], env=environment).stdout
    )
    refused = CliRunner().invoke(cli, asked, env=environment)
    assert isinstance(refused.exception, ConfigurationError)
    assert rows(shop, "orders") == 90
    environment["OPS_DATABASE_URL"] = ops_database.url()
    done = CliRunner().invoke(cli, [*asked, "--json"], env=environment)
    assert done.exit_code == 0, done.exception
    assert {one["table"]: one["changed"] for one in json.loads(done.stdout)["tables"]} == ALL
    assert rows(shop, "orders") == 30


def test_a_term_ends_by_the_calendar_of_its_zone(bare_product: Product) -> None:
    with bare_product.owner() as owner:
        owner.execute(
            "CREATE TABLE notes (id int PRIMARY KEY, at timestamptz, day date, wall timestamp);"
            "INSERT INTO notes VALUES (1, '2026-01-31 12:00+00', '2026-01-31', '2026-01-31 12:00'),"
            "(2, 'infinity', 'infinity', '-infinity'), (3, NULL, NULL, NULL),"
            "(4, '294276-12-31', '5874897-12-31', '294276-12-31')"
        )
    with bare_product.eraser() as eraser:
        known = schema.read(eraser)

        def due(after: str, of: str, zone: str | None, now: str) -> list[int]:
            term = RetentionTerm(Period.parse(after), of, zone)
            data_map = catalogues.data_map(replace(catalogues.NOTES_TABLE, term=term))
            rows = DueRows(data_map, known, datetime.fromisoformat(now))
            query = sql.SQL("SELECT id FROM notes AS t WHERE {}").format(rows.due(catalogues.NOTES, "t"))
            return [row["id"] for row in eraser.execute(query)]

        # A month from 31 January ends on 28 February, at the same time of day; a day counts to its end.
        assert due("P1M", "at", None, "2026-02-28T11:59:59+00:00") == []
        assert due("P1M", "at", None, "2026-02-28T12:00:00+00:00") == [1]
        assert due("P1M", "day", "UTC", "2026-02-28T23:59:59+00:00") == []
        assert due("P1M", "day", "UTC", "2026-03-01T00:00:00+00:00") == [1]
        # Summer time begins in Paris on 29 March: 58 days later it is noon there an hour earlier in UTC.
        assert due("P58D", "wall", "Europe/Paris", "2026-03-30T09:59:59+00:00") == []
        assert due("P58D", "wall", "Europe/Paris", "2026-03-30T10:00:00+00:00") == [1]
        assert due("P58D", "wall", "UTC", "2026-03-30T11:59:59+00:00") == []
        assert due("PT1H", "at", "Asia/Tokyo", "2026-01-31T13:00:00+00:00") == [1]


PARCELS = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL);
CREATE TABLE parcels (id int PRIMARY KEY, user_id int, label text, sent timestamptz);
CREATE INDEX ON parcels (user_id);
CREATE TABLE scans (id int PRIMARY KEY, parcel_id int, place text, at timestamptz);
CREATE INDEX ON scans (parcel_id);
CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN new.label := initcap(new.label); RETURN new; END $$;
INSERT INTO users VALUES (1, 'a@x.example');
INSERT INTO parcels SELECT n, 1, 'Label', now() - interval '90 d' FROM generate_series(1, 3) AS n;
INSERT INTO scans VALUES (1, 1, 'Lyon', now() - interval '90 d'), (2, 2, 'Lyon', now() - interval '40 d');
"""
PARCELS_MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users:
    personal: [email]
    rows: [{role: account, column: id, erase: delete}]
  parcels:
    personal: [label]
    plain: [id, sent]
    retention: {after: P30D, of: sent, do: anonymise}
    rows: [{role: buyer, column: user_id, erase: {anonymise: {user_id: null, label: {value: gone}}}}]
  scans:
    personal: [place]
    plain: [id, at]
    retention: {after: P60D, of: at, do: anonymise}
    rows:
      - {role: buyer, column: parcel_id, through: parcels, to: id, erase: {anonymise: {place: null}}}
"""


def test_what_leads_to_a_person_is_blanked_last_and_no_trigger_undoes_it(
    bare_product: Product, ops_database: OpsDatabase, tmp_path: Path
) -> None:
    with bare_product.owner() as owner:
        owner.execute(PARCELS)
        owner.execute("CREATE TRIGGER tidy BEFORE UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION tidy()")
    data_map = map_of(tmp_path, PARCELS_MAP)
    report = ran(bare_product, ops_database, data_map)
    assert changed(report) == {"parcels": 0, "scans": 1}
    assert "2 rows do not keep the values" in report.problems[0]
    assert "(tidy)" in report.problems[0]
    with bare_product.owner() as owner:
        owner.execute("DROP TRIGGER tidy ON parcels; UPDATE scans SET place = 'Lyon'")
    plan, report = (work(bare_product, ops_database, data_map) for work in (foreseen, ran))
    assert changed(plan) == changed(report) == {"parcels": 2, "scans": 1}
    assert plan.problems == report.problems
    assert "give scans a term" in report.problems[0]
    assert numbers(bare_product, "SELECT id FROM parcels WHERE user_id = 1") == [(2,)], "its scan leads here"
    with connections(bare_product, ops_database) as (eraser, ops):
        daily_run.run(eraser, ops, replace(data_map, tables={}), "shop", actor="test")
        assert {look.stanza for look in retention_store.looks(ops)} == {"product"}, "another product's stay"
