"""The demo's schema: what erasure, export and recovery count on."""

from __future__ import annotations

import psycopg
import pytest

from ops_platform_tests.local.demo.databases import DemoDatabase, DemoDatabases

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def schema(demo_databases: DemoDatabases) -> DemoDatabase:
    return demo_databases.create()


def test_every_referencing_column_leads_an_index(schema: DemoDatabase) -> None:
    with schema.cluster.superuser(schema.name) as connection:
        bare = connection.execute(
            "SELECT c.conrelid::regclass::text, c.conname FROM pg_constraint c WHERE c.contype = 'f' "
            "AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL "
            "AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)"
        ).fetchall()
    assert bare == []


def test_everything_is_commented_and_owned(schema: DemoDatabase) -> None:
    with schema.cluster.superuser(schema.name) as connection:
        connection.execute("SELECT ensure_usage_log_partitions('2025-01-01', 2)")
        rows = connection.execute(
            "SELECT relname, obj_description(oid, 'pg_class'), pg_get_userbyid(relowner) FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') "
            "AND relname !~ '^_?yoyo'"
        ).fetchall()
    assert len(rows) > 20
    assert [name for name, comment, _ in rows if not comment] == []
    assert {owner for _, _, owner in rows} == {"product_owner"}


def test_traps_are_there(schema: DemoDatabase) -> None:
    with schema.cluster.superuser(schema.name) as connection:
        row = connection.execute(
            "WITH audit AS (SELECT 'audit_logs'::regclass AS id) "
            "SELECT (SELECT count(*) FROM pg_constraint WHERE condeferred), "
            "(SELECT count(*) FROM pg_attribute WHERE attgenerated = 's' AND attname ~ '^email_'), "
            "(SELECT count(*) FROM pg_attribute, audit WHERE attidentity = 'a' AND attrelid = id), "
            "(SELECT count(*) FROM pg_constraint, audit WHERE contype = 'f' AND conrelid = id)"
        ).fetchone()
    assert row == (1, 1, 1, 0)


def test_the_application_may_write_rows_but_not_the_ledger_or_the_schema(schema: DemoDatabase) -> None:
    denied = (
        "UPDATE ledger_entries SET amount_cents = 0",
        "DELETE FROM audit_logs",
        "CREATE TABLE mine (a int)",
        "SELECT * FROM demo_seed_progress",
        "CREATE TABLE usage_logs_x PARTITION OF usage_logs FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')",
    )
    for statement in denied:
        with psycopg.connect(schema.app_url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)
    with psycopg.connect(schema.owner_url) as owner, pytest.raises(psycopg.Error, match="append-only"):
        owner.execute("DELETE FROM ledger_entries")


def test_the_application_asks_for_months_ahead(schema: DemoDatabase) -> None:
    with psycopg.connect(schema.app_url) as app:
        assert app.execute("SELECT ensure_usage_log_partitions('2031-11-15', 3)").fetchone() == (3,)
        assert app.execute("SELECT ensure_usage_log_partitions('2031-12-31', 3)").fetchone() == (1,)
        bounds = app.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'usage_logs_2031_12'"
        ).fetchone()
        app.execute("SELECT refresh_creator_stats()")
    assert bounds == ("FOR VALUES FROM ('2031-12-01 00:00:00+00') TO ('2032-01-01 00:00:00+00')",)
    with psycopg.connect(schema.app_url) as app, pytest.raises(psycopg.Error, match="from 1 to 36"):
        app.execute("SELECT ensure_usage_log_partitions('2031-11-15', 100)")


def test_the_cycle_of_foreign_keys_commits_together(schema: DemoDatabase) -> None:
    with psycopg.connect(schema.app_url) as app:
        app.execute(
            "INSERT INTO creators (id, handle, email, full_name, country, featured_post_id) VALUES "
            "('00000000-0000-4000-8000-000000000001', 'c', 'C@example.org', 'C', 'FR', 7)"
        )
        app.execute(
            "INSERT INTO posts (id, creator_id, title, body) VALUES "
            "(7, '00000000-0000-4000-8000-000000000001', 't', 'b')"
        )
        app.commit()
        assert app.execute("SELECT email_normalised FROM creators WHERE handle = 'c'").fetchone() == (
            "c@example.org",
        )
        app.execute("UPDATE creators SET featured_post_id = 8 WHERE handle = 'c'")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            app.commit()
