"""A source with what looks odd and is sound: a restored copy of it must pass every check.

Each oddity stands by itself: its statements, and a question whose answer in the copy is the source's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ops_platform.dr.verification import suite as questions
from ops_platform_tests.backup.site import Site, hasty, take
from ops_platform_tests.dr import zoo
from ops_platform_tests.dr.corpus.lab import Lab, lab_root
from ops_platform_tests.dr.corpus.twin import wait
from ops_platform_tests.dr.practice import archive_now, strike

TABLES = 5000


@dataclass(frozen=True)
class Oddity:
    """``made``: statements before the set. ``later``: behind it, so that only WAL brings them.

    ``asked``: a query of one value, which is ``answer`` in the copy; in ``database``.
    """

    asked: str
    answer: object
    made: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    database: str = "product"


def _exists(database: str) -> str:
    return f"SELECT count(*) FROM pg_database WHERE datname = '{database}'"


ODDITIES: Mapping[str, Oddity] = {
    "logical_slot": Oddity(
        # Slots are in no backup. Made first: it waits for all transactions, prepared ones too.
        "SELECT count(*) FROM pg_replication_slots",
        0,
        ("SELECT pg_create_logical_replication_slot('feed', 'pgoutput')",),
        ("INSERT INTO orders (account) VALUES (7)",),
    ),
    "thousands_of_tables": Oddity(
        "SELECT count(*) FROM pg_class WHERE relname ~ '^many_'",
        TABLES,
        (
            f"DO $$ BEGIN FOR n IN 1..{TABLES} LOOP EXECUTE 'CREATE TABLE many_' || n || ' (n int)'; "
            "END LOOP; END $$",
        ),
    ),
    "prepared_transaction": Oddity(
        "SELECT gid FROM pg_prepared_xacts",
        "undecided",
        ("BEGIN; UPDATE accounts SET data = '{}' WHERE id = 1; PREPARE TRANSACTION 'undecided'",),
    ),
    "prepared_before_and_decided_behind_the_set": Oddity(
        "SELECT count(*) FROM accounts WHERE email = 'late@example.org'",
        1,
        ("BEGIN; INSERT INTO accounts (email) VALUES ('late@example.org'); PREPARE TRANSACTION 'late'",),
        ("COMMIT PREPARED 'late'",),
    ),
    "unlogged_table": Oddity("SELECT count(*) FROM scratch", 0),
    "partitions": Oddity("SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass", 2),
    "large_object": Oddity(
        "SELECT length(lo_get(987654))",
        3_000_000,
        ("SELECT lo_from_bytea(987654, decode(repeat('00ff', 1500000), 'hex'))",),
    ),
    "collation": Oddity("SELECT count(*) FROM pg_collation WHERE collname = 'german'", 1),
    "empty_database": Oddity(_exists("nothing in it"), 1, ('CREATE DATABASE "nothing in it"',)),
    "database_dropped_before_the_set": Oddity(
        _exists("gone_before"), 0, ("CREATE DATABASE gone_before", "DROP DATABASE gone_before")
    ),
    "database_dropped_behind_the_set": Oddity(
        _exists("gone_behind"), 0, ("CREATE DATABASE gone_behind",), ("DROP DATABASE gone_behind",)
    ),
    "database_made_behind_the_set": Oddity(_exists("new"), 1, (), ("CREATE DATABASE new",)),
    "database_that_lets_nobody_in": Oddity(
        _exists("closed"), 1, ("CREATE DATABASE closed", "ALTER DATABASE closed ALLOW_CONNECTIONS false")
    ),
    "database_that_is_read_only": Oddity(
        # For the product's sessions; those of the checks may write.
        "SHOW default_transaction_read_only",
        "off",
        (
            "CREATE DATABASE readable",
            "ALTER DATABASE readable SET default_transaction_read_only = on",
        ),
        database="readable",
    ),
    "database_in_latin1": Oddity(
        "SHOW server_encoding",
        "LATIN1",
        ("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",),
        database="latin",
    ),
    "table_made_anew": Oddity(
        "SELECT count(*) FROM anew",
        2,
        ("CREATE TABLE anew AS SELECT generate_series(1, 900)",),
        ("DROP TABLE anew", "CREATE TABLE anew AS SELECT generate_series(1, 2)"),
    ),
    "truncated_table": Oddity(
        "SELECT count(*) FROM emptied",
        1,
        ("CREATE TABLE emptied AS SELECT generate_series(1, 900)",),
        ("TRUNCATE emptied", "INSERT INTO emptied VALUES (1)"),
    ),
    "sequence_ahead": Oddity(
        "SELECT last_value FROM ahead_id_seq",
        1_000_000,
        ("CREATE TABLE ahead (id bigserial PRIMARY KEY)", "SELECT setval('ahead_id_seq', 1000000)"),
    ),
    "sequence_behind_at_the_source": Oddity("SELECT max(id) FROM imported", 50),
    "generated_column": Oddity("SELECT double_age FROM accounts WHERE age = 21", 42),
    "domain_with_a_check": Oddity(
        "SELECT count(*) FROM pg_constraint WHERE contypid = 'positive'::regtype", 1
    ),
    "row_level_security": Oddity(
        "SELECT relrowsecurity FROM pg_class WHERE oid = 'strict'::regclass",
        True,
        (
            "CREATE TABLE strict (owner text)",
            "INSERT INTO strict VALUES ('me')",
            "ALTER TABLE strict ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE strict FORCE ROW LEVEL SECURITY",
        ),
    ),
    "invalid_index_at_the_source": Oddity(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'left_invalid'::regclass", False
    ),
    "keys_in_a_circle": Oddity(
        "SELECT count(*) FROM hens",
        1,
        (
            "CREATE TABLE hens (id int PRIMARY KEY, egg int)",
            "CREATE TABLE eggs (id int PRIMARY KEY, hen int REFERENCES hens DEFERRABLE INITIALLY DEFERRED)",
            "ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs DEFERRABLE INITIALLY DEFERRED",
            "BEGIN; INSERT INTO hens VALUES (1, 1); INSERT INTO eggs VALUES (1, 1); COMMIT",
        ),
    ),
    "every_kind_of_index": Oddity(
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'indexed'",
        6,
        (
            "CREATE TABLE indexed (id int PRIMARY KEY, tags int[], place point, body text)",
            "INSERT INTO indexed SELECT n, ARRAY[n], point(n, n), md5(n::text) FROM generate_series(1, 99) n",
            "CREATE INDEX ON indexed USING gin (tags)",
            "CREATE INDEX ON indexed USING gist (place)",
            "CREATE INDEX ON indexed USING spgist (body)",
            "CREATE INDEX ON indexed USING brin (id)",
            "CREATE INDEX ON indexed USING hash (body)",
        ),
    ),
    "view_not_filled": Oddity(
        "SELECT relispopulated FROM pg_class WHERE oid = 'unfilled'::regclass",
        False,
        ("CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS n WITH NO DATA",),
    ),
    "table_without_columns": Oddity(
        "SELECT count(*) FROM bare",
        3,
        ("CREATE TABLE bare ()", "INSERT INTO bare SELECT FROM generate_series(1, 3)"),
    ),
    "strange_names": Oddity(
        'SELECT count(*) FROM "a.b"."se\'lect ""x"" Ünï"',
        1,
        (
            'CREATE SCHEMA "a.b"',
            'CREATE TABLE "a.b"."se\'lect ""x"" Ünï" ("100%" int GENERATED ALWAYS AS IDENTITY)',
            'INSERT INTO "a.b"."se\'lect ""x"" Ünï" DEFAULT VALUES',
        ),
    ),
    "server_setting_of_its_own": Oddity("SHOW work_mem", "7MB", ("ALTER SYSTEM SET work_mem = '7MB'",)),
    "server_log_of_its_own": Oddity(
        "SELECT count(*) FROM pg_file_settings WHERE name = 'log_line_prefix' AND setting = '%t '",
        1,
        (
            "ALTER SYSTEM SET log_line_prefix = '%t '",
            "ALTER SYSTEM SET log_timezone = 'Asia/Tokyo'",
            "ALTER SYSTEM SET log_min_messages = 'fatal'",
        ),
    ),
    "server_address_of_its_own": Oddity(
        "SELECT count(*) FROM pg_file_settings WHERE name = 'port' AND setting = '5999'",
        1,
        (
            "ALTER SYSTEM SET port = 5999",
            "ALTER SYSTEM SET unix_socket_directories = '/nowhere'",
            "ALTER SYSTEM SET hba_file = '/nowhere/pg_hba.conf'",
            "ALTER SYSTEM SET shared_preload_libraries = 'not_installed_here'",
            "ALTER SYSTEM SET max_connections = 30",
        ),
    ),
    "subscription": Oddity(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'logical replication'",
        0,
        (
            "CREATE SUBSCRIPTION elsewhere CONNECTION 'host=127.0.0.1 port=1 dbname=x connect_timeout=1' "
            "PUBLICATION p WITH (connect = false, slot_name = 'of_production')",
            "ALTER SUBSCRIPTION elsewhere ENABLE",
        ),
    ),
    "superuser_in_a_hurry": Oddity(
        # The checks give themselves as long as they need.
        "SHOW statement_timeout",
        "0",
        ("ALTER ROLE postgres SET statement_timeout = '1h'", "ALTER ROLE postgres SET search_path = 'a.b'"),
    ),
    "event_trigger_that_forbids": Oddity(
        "SELECT count(*) FROM pg_event_trigger WHERE evtname = 'frozen'",
        1,
        (),
        (
            "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE EXCEPTION 'no migration is due'; END $$",
            "CREATE EVENT TRIGGER frozen ON ddl_command_start EXECUTE FUNCTION public.refuse()",
        ),
    ),
}


def make_menagerie(make_site: Callable[..., Site]) -> Lab:
    """With a full behind all that was made, and the rest behind the full."""
    made = make_site(stanza={"production_size_bytes": 1 << 30})
    context = replace(made.context, stanza=replace(made.context.stanza, append_only=zoo.APPEND_ONLY))
    site = replace(made, context=hasty(context))
    with site.cluster.superuser() as superuser:
        superuser.execute("ALTER SYSTEM SET wal_level = 'logical'")
        superuser.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    site.cluster.stop()
    site.cluster.start()
    with site.cluster.superuser("product") as superuser:
        for statement in (zoo.SCHEMA, *(made for oddity in ODDITIES.values() for made in oddity.made)):
            superuser.execute(statement.encode())
    questions.refresh(site.context)
    root = lab_root(site)
    strike(site)
    take(site, "full")
    wait(3.1)
    with site.cluster.superuser("product") as superuser:
        superuser.execute("SET search_path = public")
        for oddity in ODDITIES.values():
            for statement in oddity.later:
                superuser.execute(statement.encode())
    strike(site, 2)
    archive_now(site)
    return Lab(site, root / "base", root, "PG_VERSION")
