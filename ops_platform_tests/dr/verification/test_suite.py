"""Healthy databases pass whatever they hold; of each damage exactly the verification that names it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest

from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.dr.inspection import schema_comparison as catalogue
from ops_platform.dr.reference import capture as survey
from ops_platform.dr.reference.reference_store import Reference
from ops_platform.dr.verification.suite import References
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.dr import zoo

pytestmark = [pytest.mark.services]


@dataclass(frozen=True)
class Source:
    """The zoo, what it looked like twice, and how to look again."""

    cluster: PostgresCluster
    context: BackupContext
    before: Reference
    after: Reference

    @property
    def known(self) -> References:
        return References(self.before, self.after, erased_since=False)

    def look(self) -> Reference:
        return survey.take(self.context, None, False)

    def run(self, *statements: str, database: str = zoo.NAME) -> None:
        with self.cluster.superuser(database) as superuser:
            for statement in statements:
                superuser.execute(statement)

    def wrong(self, known: References | None = None) -> dict[str, str]:
        """With the databases beside it only where ``known`` tells of them."""
        server = zoo.restored(self.cluster, () if known else [zoo.NAME])
        return zoo.wrong(zoo.answers(server, known or self.known))


@pytest.fixture(scope="module")
def source(cluster_factory: Callable[..., PostgresCluster], settings_for: Callable[..., Settings]) -> Source:
    cluster = cluster_factory("product", archive=False, settings={"max_prepared_transactions": "5"})
    zoo.build(cluster)
    variable = f"OPS_{cluster.name.upper()}_DATABASE_URL"
    settings = settings_for(
        cluster,
        stanza={"append_only": zoo.APPEND_ONLY},
        environ={variable: cluster.url("ops_worker", zoo.NAME)},
    )
    context = open_context(settings, cluster.name)
    # The default stanza's tables, which the merge of the fixture keeps.
    context = replace(context, stanza=replace(context.stanza, append_only=zoo.APPEND_ONLY))
    before = survey.take(context, None, False)
    return Source(cluster, context, before, survey.take(context, before, False))


@dataclass(frozen=True)
class Damaged:
    """A transaction in which the zoo is damaged; all questions are asked inside it."""

    source: Source
    connection: Connection

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)

    def wrong(self) -> dict[str, str]:
        server = zoo.restored(self.source.cluster, [zoo.NAME], self.connection)
        return zoo.wrong(zoo.answers(server, self.source.known))


@pytest.fixture
def damaged(source: Source) -> Iterator[Damaged]:
    with postgres.connect(source.cluster.superuser_dsn(zoo.NAME)) as connection:
        yield Damaged(source, connection)
        connection.rollback()


@pytest.fixture
def fresh(source: Source) -> Iterator[Source]:
    """Whatever the test does to the database is undone."""
    yield source
    zoo.renew(source.cluster)


def test_a_healthy_database_passes_whatever_it_holds(source: Source) -> None:
    found = zoo.answers(zoo.restored(source.cluster), source.known)
    assert zoo.wrong(found) == {}
    assert found["sequences"].numbers["as_at_source"] == 1
    assert found["indexes_valid"].numbers["as_at_source"] == 1
    assert found["constraints_validated"].numbers["as_at_source"] == 1
    assert found["closed_rows"].numbers == {"tables": 3, "rows": 6001 + 501 + 100, "wrong": 0}
    assert source.before.unread == ("public.secrets",)
    assert "public.scratch" not in source.before.live
    assert "postgres" in source.before.others


CATALOGUE: list[tuple[str, str]] = [
    ("DROP TABLE empty", "table public.empty"),
    ("CREATE TABLE strange ()", "table public.strange"),
    ("ALTER TABLE empty OWNER TO ops_api", "table public.empty"),
    ("ALTER TABLE empty SET (fillfactor = 50)", "table public.empty"),
    ("ALTER TABLE orders REPLICA IDENTITY FULL", "table public.orders"),
    ("ALTER TABLE events DETACH PARTITION events_old", "table public.events_old"),
    ("ALTER TABLE secrets DISABLE ROW LEVEL SECURITY", "table public.secrets"),
    ("REVOKE SELECT ON accounts FROM ops_api", "table public.accounts"),
    ("ALTER TABLE events DROP COLUMN cash", "column public.events_old.cash"),
    ("ALTER TABLE imported ALTER id TYPE bigint", "column public.imported.id"),
    ("ALTER TABLE readings ALTER value SET NOT NULL", "column public.readings.value"),
    ("ALTER TABLE tens_of ALTER n DROP DEFAULT", "column public.tens_of.n"),
    ("GRANT SELECT (id) ON orders TO ops_api", "column public.orders.id"),
    ("ALTER SEQUENCE shared INCREMENT 2", "sequence options public.shared"),
    (
        "ALTER TABLE orders DROP CONSTRAINT orders_account_fkey",
        "constraint orders_account_fkey of public.orders",
    ),
    ("ALTER TABLE orders DISABLE TRIGGER ALL", "constraint orders_account_fkey of public.orders"),
    (
        "ALTER DOMAIN positive DROP CONSTRAINT positive_check",
        "constraint positive_check of domain public.positive",
    ),
    ("DROP INDEX ages_age_idx", "index ages_age_idx of public.ages"),
    ("ALTER TABLE accounts DISABLE TRIGGER touched", "trigger touched of public.accounts"),
    ("DROP TRIGGER touched ON accounts", "trigger touched of public.accounts"),
    ("DROP RULE quiet ON grown_ups", "rule quiet of public.grown_ups"),
    ("DROP POLICY own ON secrets", "policy own of public.secrets"),
    ("ALTER POLICY own ON secrets TO ops_api", "policy own of public.secrets"),
    ("CREATE OR REPLACE VIEW grown_ups AS SELECT * FROM accounts WHERE age >= 21", "view public.grown_ups"),
    ("DROP FUNCTION twice(text)", "function public.twice(text)"),
    (
        "CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 3'",
        "function public.twice(integer)",
    ),
    ("GRANT EXECUTE ON PROCEDURE nothing() TO ops_api", "function public.nothing()"),
    ("DROP AGGREGATE product_of(float8)", "function public.product_of(double precision)"),
    ("DROP OPERATOR === (int, int)", "operator public.===(integer,integer)"),
    ("ALTER TYPE mood ADD VALUE 'glad'", "type public.mood"),
    ("DROP TYPE span", "type public.span"),
    ("DROP TYPE pair", "composite type public.pair"),
    ("ALTER TYPE pair ADD ATTRIBUTE more int", "column public.pair.more"),
    ("DROP COLLATION german", "collation public.german"),
    ("DROP STATISTICS age_email", "statistics public.age_email"),
    ("DROP EVENT TRIGGER watching", "event trigger watching"),
    ("ALTER PUBLICATION all_orders ADD TABLE lines", "publication all_orders"),
    ("DROP TEXT SEARCH CONFIGURATION plain", "text search configuration public.plain"),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM ops_agent",
        "default privileges of postgres for r in public",
    ),
    ('ALTER SCHEMA "odd one" OWNER TO ops_api', 'schema "odd one"'),
]


@pytest.mark.parametrize(("damage", "named"), CATALOGUE)
def test_a_changed_definition_is_named(damaged: Damaged, damage: str, named: str) -> None:
    damaged.run(damage)
    here, there = catalogue.objects(damaged.connection), damaged.source.before.objects
    differing = {name for name in {*here, *there} if here.get(name) != there.get(name)}
    assert named in {
        name for name in differing if not name.startswith(("database ", "postgres: ", "product: "))
    }


DAMAGES: list[tuple[str, list[str]]] = [
    ("catalogue", ["DROP TABLE empty"]),
    ("catalogue", ["ALTER TABLE events DROP COLUMN cash"]),
    ("extensions", ["CREATE EXTENSION pg_trgm"]),
    ("extensions", ["UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'citext'"]),
    ("sequences", ["ALTER SEQUENCE orders_id_seq RESTART WITH 1001"]),
    ("sequences", ["ALTER SEQUENCE accounts_id_seq RESTART WITH 1"]),
    ("sequences", ["ALTER SEQUENCE down RESTART WITH -20"]),
    ("sequences", ["ALTER SEQUENCE shared RESTART WITH 2"]),
    ("sequences", ["ALTER SEQUENCE events_id_seq RESTART WITH 7"]),
    (
        "indexes_valid",
        ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'accounts_pkey'::regclass"],
    ),
    (
        "indexes_valid",
        ["UPDATE pg_index SET indisready = false WHERE indexrelid = 'pg_shdescription_o_c_index'::regclass"],
    ),
    (
        "constraints_validated",
        ["UPDATE pg_constraint SET convalidated = false WHERE conname = 'orders_account_fkey'"],
    ),
    ("collations", ["UPDATE pg_collation SET collversion = '0' WHERE collname = 'german'"]),
    ("closed_rows", ["UPDATE events SET weight = weight + 0.000001 WHERE id = 17"]),
    ("closed_rows", ["UPDATE events SET body = body || '{\"x\": null}' WHERE id = 6001"]),
    ("closed_rows", ["DELETE FROM events WHERE id = 17"]),
    ("closed_rows", ["INSERT INTO events (at) VALUES ('2023-01-01')"]),
    ("closed_rows", ['UPDATE "odd one"."Book ings" SET "Day" = "Day" - 1 WHERE "No" = 3']),
    ("closed_rows", ["UPDATE readings SET value = 0 WHERE noted = '2024-01-02'"]),
    ("live_tables", ["DELETE FROM shipments"]),
    ("live_tables", ["TRUNCATE shipments"]),
    ("live_tables", ["INSERT INTO shipments SELECT 1, 1 FROM generate_series(1, 60)"]),
    ("orphans", ["SET session_replication_role = replica", "DELETE FROM accounts WHERE id = 8"]),
    ("orphans", ["SET session_replication_role = replica", "DELETE FROM lines WHERE order_id = 8"]),
    ("orphans", ["SET session_replication_role = replica", "UPDATE orders SET email = 'x' WHERE id = 8"]),
]


@pytest.mark.parametrize(("named", "damage"), DAMAGES, ids=[one[-1][:60] for _, one in DAMAGES])
def test_only_the_verification_that_names_a_damage_fails(
    damaged: Damaged, named: str, damage: list[str]
) -> None:
    damaged.run(*damage)
    found = damaged.wrong()
    assert set(found) == {named}, found
    assert found[named].startswith("fail"), found


@pytest.mark.parametrize(
    ("damage", "undo"),
    [
        ("CREATE ROLE intruder SUPERUSER", "DROP ROLE intruder"),
        ("ALTER ROLE ops_api BYPASSRLS", "ALTER ROLE ops_api NOBYPASSRLS"),
        ("GRANT ops_owner TO ops_api", "REVOKE ops_owner FROM ops_api"),
        ("REVOKE pg_monitor FROM ops_agent", "GRANT pg_monitor TO ops_agent"),
        ("ALTER ROLE ops_api RENAME TO ops_lost", "ALTER ROLE ops_lost RENAME TO ops_api"),
    ],
)
def test_roles(source: Source, damage: str, undo: str) -> None:
    source.run(damage)
    try:
        found = source.wrong()
    finally:
        source.run(undo)
    # A role's name is part of what it was granted.
    also = {"catalogue"} if "RENAME" in damage else set()
    assert set(found) == {"roles"} | also, found


@pytest.mark.full
def test_a_lost_database_and_a_lost_setting(source: Source) -> None:
    source.run("CREATE DATABASE beside")
    source.run(
        "CREATE TABLE things (id serial PRIMARY KEY); INSERT INTO things VALUES (7)", database="beside"
    )
    source.run("ALTER DATABASE beside SET work_mem = '7MB'")
    known = References(source.look(), source.look(), erased_since=False)
    try:
        assert source.wrong(known) == {}
        source.run("ALTER DATABASE beside RESET ALL", "ALTER ROLE ops_api SET work_mem = '7MB'")
        found = source.wrong(known)
        assert set(found) == {"catalogue"}
        assert (
            "missing: settings of all roles in database beside; unexpected: settings of role ops_api"
            in (found["catalogue"])
        )
        source.run("ALTER ROLE ops_api RESET ALL", "ALTER DATABASE beside SET work_mem = '7MB'")
        source.run("ALTER TABLE things ADD extra int", database="beside")
        found = source.wrong(known)
        assert set(found) == {"catalogue"}
        assert "unexpected: beside: column public.things.extra" in found["catalogue"]
        source.run("DROP DATABASE beside")
        found = source.wrong(known)
        assert set(found) == {"catalogue"}
        assert "beside: " not in found["catalogue"]
        assert "missing: database beside" in found["catalogue"]
    finally:
        source.run("DROP DATABASE IF EXISTS beside", "ALTER ROLE ops_api RESET ALL")


def test_a_database_that_may_not_be_entered_is_named(source: Source) -> None:
    source.run("CREATE DATABASE closed_off", "REVOKE CONNECT ON DATABASE closed_off FROM PUBLIC")
    try:
        known = References(source.look(), source.look(), erased_since=False)
        found = zoo.answers(zoo.restored(source.cluster), known)
        assert zoo.wrong(found) == {}
        assert "may not enter: closed_off" in found["catalogue"].summary
        # What is weak there could be damage, or be the source's.
        source.run("CREATE TABLE t (n int)", database="closed_off")
        source.run("ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0) NOT VALID", database="closed_off")
        found = zoo.answers(zoo.restored(source.cluster), known)
        assert found["constraints_validated"].result == "unknown"
    finally:
        source.run("DROP DATABASE closed_off")


# --- what the source did between the two looks -----------------------------------------------------------


@pytest.mark.full
def test_a_source_that_changed_between_the_references(fresh: Source) -> None:
    """Whatever state between the two was restored, it passes."""
    fresh.run("ANALYZE")
    before = fresh.look()
    steps = [
        ["TRUNCATE shipments", "DELETE FROM countdown", "VACUUM FULL accounts"],
        ["INSERT INTO orders (account) SELECT 1 FROM generate_series(1, 500)"],
        ["ALTER TABLE events ADD COLUMN extra text DEFAULT 'x'", "ALTER TABLE readings DROP COLUMN value"],
        ["CREATE TABLE young (id int GENERATED BY DEFAULT AS IDENTITY)", "INSERT INTO young VALUES (3)"],
        ["ALTER TABLE young ADD CONSTRAINT small CHECK (id < 9) NOT VALID"],
        ["CREATE INDEX young_id ON young (id)"],
        ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'young_id'::regclass"],
        ["DROP TABLE rounds", "CREATE TABLE rounds (n int)"],
    ]
    for step in steps:
        fresh.run(*step)
    fresh.run("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'young_id'::regclass")
    fresh.run("ALTER TABLE young VALIDATE CONSTRAINT small", "SELECT setval('young_id_seq', 5)")
    known = References(before, fresh.look(), erased_since=False)
    zoo.renew(fresh.cluster)
    server = zoo.restored(fresh.cluster, [zoo.NAME])
    assert zoo.wrong(zoo.answers(server, known)) == {}
    for step in steps:
        fresh.run(*step)
        assert zoo.wrong(zoo.answers(server, known)) == {}, step


def test_rows_that_were_erased_leave_bounds(fresh: Source) -> None:
    fresh.run("DELETE FROM events WHERE id = 5", "UPDATE events SET body = NULL WHERE id = 6")
    assert set(fresh.wrong()) == {"closed_rows"}
    erased = replace(fresh.known, erased_since=True)
    assert set(fresh.wrong(erased)) == set()
    fresh.run("INSERT INTO events (at) SELECT '2023-01-01' FROM generate_series(1, 3)")
    assert set(fresh.wrong(erased)) == {"closed_rows"}


def test_without_references_what_needs_one_is_unknown(source: Source) -> None:
    found = zoo.answers(zoo.restored(source.cluster), References(None, None, erased_since=False))
    assert {name for name, one in found.items() if one.result == "unknown"} == {
        "catalogue",
        "roles",
        "extensions",
        "sequences",
        "indexes_valid",
        "constraints_validated",
        "closed_rows",
        "live_tables",
    }
    assert {one.result for one in found.values()} == {"unknown", "pass"}


def test_with_a_reference_on_one_side_a_difference_may_be_a_change(fresh: Source) -> None:
    fresh.run("DROP TABLE empty")
    for known in (
        References(fresh.before, None, erased_since=False),
        References(None, fresh.after, erased_since=False),
    ):
        found = fresh.wrong(known)
        assert found["catalogue"].startswith("unknown")
        assert "missing: column public.empty.id" in found["catalogue"]


def test_statistics_that_began_anew_tell_nothing(fresh: Source) -> None:
    before = fresh.look()
    fresh.run("SELECT pg_stat_reset()")
    after = fresh.look()
    found = fresh.wrong(References(before, after, erased_since=False))
    assert set(found) == {"live_tables"}
    assert found["live_tables"].startswith("unknown")


def test_no_answer_tells_a_value(fresh: Source) -> None:
    fresh.run(
        "SET session_replication_role = replica",
        "UPDATE orders SET email = 'sentinel@example.org' WHERE id = 8",
        "UPDATE events SET body = '{\"sentinel\": 1}' WHERE id = 6",
    )
    found = zoo.answers(zoo.restored(fresh.cluster), fresh.known)
    assert "sentinel" not in repr(found)


# --- taking a reference ----------------------------------------------------------------------------------


def test_a_transaction_that_is_still_running_holds_the_marker_back(fresh: Source) -> None:
    with psycopg.connect(fresh.cluster.superuser_dsn(zoo.NAME)) as writer:
        began = writer.execute("SELECT now()").fetchone()
        assert began is not None
        assert fresh.look().marker <= began[0]
        # Of a large table only what is new would be read: what was closed stays so.
        assert survey.take(fresh.context, fresh.before, False).marker >= fresh.before.marker
        writer.execute("INSERT INTO readings VALUES (now(), 1)")
        writer.execute("PREPARE TRANSACTION 'open'")
        writer.commit()
    try:
        assert (fresh.look().taken_at - fresh.look().marker).days >= 0
        assert (fresh.look().taken_at - fresh.look().marker).total_seconds() >= 24 * 3600
    finally:
        fresh.run("ROLLBACK PREPARED 'open'")


@pytest.mark.full
def test_large_tables_are_added_to(fresh: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "EXACT_ROWS", 10)
    fresh.run("INSERT INTO events (at) VALUES ('2023-01-01')")
    # It lies before the earlier marker, where nobody looks again.
    added = survey.take(fresh.context, fresh.before, False)
    assert added.closed["public.events"] == fresh.before.closed["public.events"]
    assert fresh.look().closed["public.events"].rows == 6002
    assert survey.take(fresh.context, fresh.before, True).closed["public.events"].rows == 6002
    fresh.run("ALTER TABLE events ADD COLUMN extra int")
    assert survey.take(fresh.context, fresh.before, False).closed["public.events"].rows == 6002
    other_branch = replace(fresh.before, lineage="1/00000001")
    assert survey.take(fresh.context, other_branch, False).closed["public.events"].rows == 6002
