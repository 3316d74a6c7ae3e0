"""The mark changes with every object, and not with what a product does all day."""

from __future__ import annotations

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.inspection import change_mark
from ops_platform_tests.backup.site import Site

CHANGES = (
    "CREATE TABLE {} (id int PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id)",
    "CREATE TABLE {}_1 PARTITION OF {} FOR VALUES FROM (0) TO (10)",
    "ALTER TABLE {} DETACH PARTITION {}_1",
    "ALTER TABLE {}_1 ALTER COLUMN at SET DEFAULT now()",
    "ALTER TABLE {}_1 ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
    "ALTER TABLE {}_1 VALIDATE CONSTRAINT positive",
    "CREATE INDEX {}_at ON {}_1 (at)",
    "DROP INDEX {}_at",
    "GRANT SELECT ON {}_1 TO ops_agent",
    "GRANT UPDATE (at) ON {}_1 TO ops_agent",
    "ALTER TABLE {}_1 ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON {}_1 USING (id > 1)",
    "CREATE FUNCTION {}_f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION {}_f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "CREATE VIEW {}_v AS SELECT id FROM {}_1",
    "CREATE OR REPLACE VIEW {}_v AS SELECT id + 0 AS id FROM {}_1",
    "CREATE TYPE {}_e AS ENUM ('a')",
    "ALTER TYPE {}_e ADD VALUE 'b'",
    "CREATE DOMAIN {}_d AS int",
    "CREATE SEQUENCE {}_s",
    "ALTER SEQUENCE {}_s INCREMENT 2",
    "CREATE SCHEMA {}_n",
    "ALTER TABLE {}_1 OWNER TO product_owner",
    "ALTER TABLE {}_1 DROP COLUMN at",
    "DROP TABLE {}_1 CASCADE",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {}_n GRANT SELECT ON TABLES TO ops_agent",
)
WORK = (
    "INSERT INTO worked SELECT g FROM generate_series(1, 1000) g",
    "UPDATE worked SET id = id + 1",
    "SELECT nextval('worked_s')",
    "VACUUM ANALYZE worked",
    "TRUNCATE worked",
    "REFRESH MATERIALIZED VIEW worked_m",
    "CREATE TEMPORARY TABLE passing (id serial PRIMARY KEY, t text DEFAULT 'x')",
    "CREATE INDEX ON passing (t)",
    "DROP TABLE passing",
)


@pytest.mark.services
def test_every_change_of_a_definition_changes_it_and_work_does_not(site: Site) -> None:
    with (
        site.cluster.superuser("product") as superuser,
        postgres.session(site.cluster.url("ops_worker", "product"), autocommit=True) as worker,
    ):
        superuser.execute("CREATE TABLE worked (id int)")
        superuser.execute("CREATE SEQUENCE worked_s")
        superuser.execute("CREATE MATERIALIZED VIEW worked_m AS SELECT * FROM worked")
        marks = [change_mark.of_database(worker)]
        for change in CHANGES:
            superuser.execute(change.replace("{}", "marked").encode())
            marks.append(change_mark.of_database(worker))
            assert marks[-1] != marks[-2], change
        for work in WORK:
            superuser.execute(work.encode())
            assert change_mark.of_database(worker) == marks[-1], work

        cluster = [change_mark.of_cluster(worker)]
        for change in (
            "CREATE ROLE marked",
            "ALTER ROLE marked LOGIN",
            "ALTER ROLE marked SET work_mem = '8MB'",
        ):
            superuser.execute(change.encode())
            cluster.append(change_mark.of_cluster(worker))
            assert cluster[-1] != cluster[-2], change
        assert change_mark.of_database(worker) == marks[-1]
        for drop in ("DROP ROLE marked", "DROP SCHEMA marked_n CASCADE", "DROP TABLE marked, worked CASCADE"):
            superuser.execute(drop.encode())
