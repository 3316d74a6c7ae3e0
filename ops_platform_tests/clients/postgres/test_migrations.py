"""Migrations on a real server: safe to repeat, to race, to kill; clear when they cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres import migrations
from ops_platform.clients.postgres.migrations import DatabaseNewer, MigrationError, migrate, pending
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.local.servers.postgres_roles import ensure_database
from ops_platform_tests.services import OpsDatabase, OpsDatabases

SQL_OPS = files.carried("sql") / "ops"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "odd [name]*" / "any"
    made.mkdir(parents=True)
    (made / "0001_first.sql").write_text("CREATE TABLE first (a int PRIMARY KEY, b text);\n")
    return made


@pytest.fixture
def empty(ops_databases: OpsDatabases) -> Iterator[OpsDatabase]:
    """A database with roles and nothing else."""
    database = OpsDatabase(ops_databases.cluster, f"empty_{time.monotonic_ns()}")
    with ops_databases.cluster.superuser() as superuser:
        ensure_database(superuser, database.name, "ops_owner", ("ops_worker",))
    yield database
    ops_databases.drop(database)


def owner(database: OpsDatabase) -> str:
    return database.url("ops_owner")


@pytest.mark.parametrize("name", ["0001_a.sql", "0001_a.py"])
def test_a_folder_that_cannot_be_run_is_refused_before_connecting(tmp_path: Path, name: str) -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    with pytest.raises(ConfigurationError, match="no folder"):
        migrate(url, tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="holds no migration"):
        migrate(url, tmp_path)
    (tmp_path / name).write_text(
        "-- transactional: false\nSELECT 1" if name.endswith("sql") else "steps = []"
    )
    with pytest.raises(ConfigurationError, match="plain SQL"):
        migrate(url, tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / "0002_b.sql").write_text("-- depends: 0001_missing\nSELECT 1")
    with pytest.raises(ConfigurationError, match="-- depends"):
        migrate(url, tmp_path)


def test_a_server_that_is_away_is_named_without_the_url(folder: Path) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/ops") as refused:
        migrate("postgresql://me:hidden@127.0.0.1:1/ops", folder)
    assert "hidden" not in str(refused.value)


@pytest.mark.services
class TestOnAServer:
    def test_the_ops_schema_applies_once_and_asking_writes_nothing(self, empty: OpsDatabase) -> None:
        # The URL verifies the server's certificate and finds its password in a file: both survive.
        assert "sslmode=verify-full" in owner(empty)
        assert "passfile=" in owner(empty)
        names = sorted(path.stem for path in SQL_OPS.glob("*.sql"))
        assert pending(owner(empty), SQL_OPS) == names
        with postgres.connect(owner(empty)) as connection:
            assert connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'").fetchall() == []
        assert migrate(owner(empty), SQL_OPS) == names
        assert (migrate(owner(empty), SQL_OPS), pending(owner(empty), SQL_OPS)) == ([], [])

    def test_a_wrong_authority_is_refused(self, empty: OpsDatabase, folder: Path, tmp_path: Path) -> None:
        url = owner(empty)
        start = url.index("sslrootcert=")
        other = tmp_path / "other.pem"
        other.write_text("")
        wrong = f"{url[:start]}sslrootcert={other}{url[url.index('&passfile') :]}"
        with pytest.raises(Unavailable):
            migrate(wrong, folder)

    def test_many_at_once(self, empty: OpsDatabase) -> None:
        with ThreadPoolExecutor(4) as pool:
            applied = list(pool.map(lambda _: migrate(owner(empty), SQL_OPS), range(4)))
        assert sorted(map(len, applied)) == [0, 0, 0, len(list(SQL_OPS.glob("*.sql")))]

    def test_a_failing_file_leaves_nothing_and_says_where(self, empty: OpsDatabase, folder: Path) -> None:
        broken = folder / "0002_broken.sql"
        broken.write_text("-- ünïcode\nINSERT INTO first VALUES (1, 'x');\n\nSELECT nonsense;\n")
        with pytest.raises(MigrationError, match="0002_broken line 4 failed and was rolled back: column"):
            migrate(owner(empty), folder)
        broken.write_text("INSERT INTO first VALUES (1, 'alice@example.com');\n" * 2)
        known = r"UniqueViolation \(SQLSTATE 23505\) \(table public.first, constraint first_pkey\)"
        with pytest.raises(MigrationError, match=known) as refused:
            migrate(owner(empty), folder)
        assert "\n" not in str(refused.value)
        assert "(1)" not in str(refused.value)
        assert pending(owner(empty), folder) == ["0002_broken"]
        broken.write_text("INSERT INTO first VALUES (1, '%s; -- $$')")
        assert migrate(owner(empty), folder) == ["0002_broken"]

    def test_functions_are_run_whole(self, empty: OpsDatabase, folder: Path) -> None:
        (folder / "0002_function.sql").write_text(
            "CREATE FUNCTION f(OUT n int) LANGUAGE plpgsql AS $f$\n"
            "DECLARE x int; BEGIN IF true THEN x := 1; END IF; n := x; EXECUTE $q$ SELECT 1; $q$; END $f$;\n"
            "CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\n"
            "INSERT INTO first SELECT f(), 'after';\n"
        )
        migrate(owner(empty), folder)
        with postgres.connect(owner(empty)) as connection:
            assert connection.execute("SELECT a, b, g() FROM first").fetchall() == [
                {"a": 1, "b": "after", "g": 2}
            ]

    def test_a_newer_database_is_refused_with_what_to_do(self, empty: OpsDatabase, folder: Path) -> None:
        (folder / "0002_newer.sql").write_text("SELECT 1")
        migrate(owner(empty), folder)
        (folder / "0002_newer.sql").unlink()
        (folder / "0003_mine.sql").write_text("CREATE TABLE mine ()")
        for ask in (migrate, pending):
            with pytest.raises(DatabaseNewer, match=r"0002_newer.*install the version"):
                ask(owner(empty), folder)

    def test_another_role_is_told_to_be_the_owner(self, empty: OpsDatabase, folder: Path) -> None:
        with pytest.raises(MigrationError, match="as the owner"):
            migrate(empty.url("ops_worker"), folder)

    def test_a_killed_run_can_be_repeated(self, empty: OpsDatabase, folder: Path) -> None:
        slow = folder / "0002_slow.sql"
        slow.write_text("CREATE TABLE second (); SELECT pg_sleep(60)")
        script = (
            "import sys; from pathlib import Path\n"
            "from ops_platform.clients.postgres.migrations import migrate\n"
            "migrate(sys.argv[1], Path(sys.argv[2]))"
        )
        running = subprocess.Popen([sys.executable, "-c", script, owner(empty), str(folder)], env=os.environ)
        with empty.superuser() as superuser:
            superuser.autocommit = True
            _until_sleeping(superuser, empty.name)
            running.send_signal(signal.SIGKILL)
            running.wait()
            slow.write_text("CREATE TABLE second ()")
            # The server notices a dead client when it next writes; an operator would end it the same way.
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s "
                "AND pid <> pg_backend_pid()",
                (empty.name,),
            )
        assert migrate(owner(empty), folder) == ["0002_slow"]

    def test_waiting_for_another_run_ends_with_a_line(
        self, empty: OpsDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migrations, "LOCK_WAIT_SECONDS", 1)
        with postgres.connect(owner(empty)) as other:
            postgres.try_lock(other, "migrate/any")
            with pytest.raises(Unavailable, match="another migration"):
                migrate(owner(empty), folder)

    def test_the_products_footprint_stays_in_one_schema(self, empty: OpsDatabase, tmp_path: Path) -> None:
        product = tmp_path / "product"
        product.mkdir()
        (product / "0001_beat.sql").write_text("CREATE TABLE beats (at timestamptz)")
        with empty.superuser() as superuser:
            superuser.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC, ops_owner")
        assert migrate(owner(empty), product) == ["0001_beat"]
        with postgres.connect(owner(empty)) as connection:
            schemas = connection.execute(
                "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'"
            ).fetchall()
        assert [row["schemaname"] for row in schemas] == ["ops_platform"]
        with empty.superuser() as superuser:
            superuser.execute("DROP SCHEMA ops_platform CASCADE")
            superuser.execute(f"ALTER DATABASE {empty.name} OWNER TO postgres")
            superuser.execute(f"GRANT CONNECT ON DATABASE {empty.name} TO ops_owner")
        with pytest.raises(ConfigurationError, match=r"sql/roles/product\.sql"):
            migrate(owner(empty), product)


def _until_sleeping(superuser: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    query = "SELECT FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    wait_until(lambda: superuser.execute(query, (database,)).rowcount > 0, 20, "the migration sleeps")
