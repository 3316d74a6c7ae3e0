"""Every command of the disaster recovery runbook, executed in the disasters that it is written for.

The stack is the module's own: its product loses its data directory, its ops cluster loses its last
minutes, its repository moves. The tests are one story and run in this order.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops_platform import files
from ops_platform.clients.waiting import wait_until
from ops_platform.local import components as parts
from ops_platform.local.host import programs
from ops_platform.local.supervision.supervisord import Supervisor
from ops_platform_tests.e2e.operator import ops_rows, sets
from ops_platform_tests.e2e.runbook import Runbook, Shell
from ops_platform_tests.running_stack import CONSOLE_SCRIPT, RunningStack
from ops_platform_tests.services import short_directory

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "disaster-recovery.md"
DAGSTER = ("daemon", "webserver", "webserver-readonly", "code-server")


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    running = RunningStack(history_days=0)
    try:
        done = running.run("up", extra={"OPS_SEAL_SECONDS": "5", "OPS_HEARTBEAT_SECONDS": "2"})
        assert done.returncode == 0, done.stdout + done.stderr
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def book(own: RunningStack) -> Iterator[Runbook]:
    directory = short_directory()
    environment = own.environment()
    environment["PATH"] = f"{CONSOLE_SCRIPT.parent}:{environment['PATH']}"
    runbook = Runbook(PAGE, Shell(directory, environment))
    (setup,) = runbook.do("Runbooks: disaster recovery").values()
    assert setup == ""
    place, port = own.layout.postgres_sockets, own.base + parts.PORT_NAMES.index("product")
    postgres = programs.find_postgres(programs.pgbackrest_version("pgbackrest"))
    runbook.shell.set(
        STANZA="product",
        DATA=str(own.layout.postgres_data("product")),
        DATABASE="product",
        APP_ROLE="product_app",
        ADMIN=f"host={place} port={port} user=postgres dbname=product",
        PG_BIN=str(postgres.bin_dir),
        AS="runuser -u postgres --" if own.layout.owner.is_other else "",
        LOOK_PORT=str(port),
        QUESTION="SELECT note FROM sentinel ORDER BY note",
    )
    yield runbook
    shutil.rmtree(directory, ignore_errors=True)


def admin(own: RunningStack, stanza: str = "product") -> psycopg.Connection[tuple[Any, ...]]:
    port = own.base + parts.PORT_NAMES.index(stanza)
    return psycopg.connect(
        f"host={own.layout.postgres_sockets} port={port} user=postgres dbname={stanza}", autocommit=True
    )


def one(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def notes(own: RunningStack) -> list[str]:
    with admin(own) as connection:
        return [row[0] for row in connection.execute("SELECT note FROM sentinel ORDER BY note")]


def archive_now(own: RunningStack, stanza: str = "product") -> None:
    with admin(own, stanza) as connection:
        name = one(connection, "SELECT pg_walfile_name(pg_switch_wal())")

        def archived() -> bool:
            last = one(connection, "SELECT last_archived_wal FROM pg_stat_archiver")
            return bool(last) and last[:24] >= name

        wait_until(archived, 90, f"{name} is archived")


def status_of(own: RunningStack, stanza: str) -> dict[str, Any]:
    done = own.run("backups", "--stanza", stanza, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = json.loads(done.stdout)
    return dict(found)


def emergencies(own: RunningStack, stanza: str) -> list[dict[str, Any]]:
    return ops_rows(
        own,
        "SELECT * FROM dr_exercises WHERE exercise_type = 'emergency' AND stanza = %s ORDER BY started_at",
        stanza,
    )


def stop(own: RunningStack, *services: str) -> None:
    Supervisor(own.layout, parts.stack_id(own.layout)).stop(services)


def state_of(own: RunningStack) -> dict[str, int]:
    """What lies in the places that a restore could touch."""
    roots = (own.state_dir / "postgres", own.state_dir / "restores", own.state_dir / "pgbackrest" / "lock")
    return {
        str(path): path.stat().st_ino
        for root in roots
        if root.exists()
        for path in sorted(root.iterdir())
        if path.suffix != ".lock"
    }


def spare(own: RunningStack, name: str) -> str:
    return str(own.state_dir / "postgres" / name)


@pytest.fixture(scope="module")
def mistake(own: RunningStack, book: Runbook) -> dict[str, str]:
    """A row before and a row after; the targets that lie between them."""
    book.shell.set(POINT="before the change", DIR=spare(own, "time"))
    with admin(own) as connection:
        connection.execute("CREATE TABLE sentinel (note text PRIMARY KEY)")
        made_in = sets(own)[-1].label
        reference = own.run("dr", "reference", "--stanza", "product")
        assert reference.returncode == 0, reference.stderr
        # Restored to here, the copy is compared with the reference before its newest heartbeat.
        since = one(connection, "SELECT now()")
        newest = "SELECT max(beat_at) FROM ops_platform.heartbeats"
        wait_until(lambda: (one(connection, newest) or since) > since, 60, "a heartbeat after the reference")
        with connection.transaction():
            connection.execute("INSERT INTO sentinel VALUES ('before')")
            xid = one(connection, "SELECT pg_current_xact_id()::text")
        book.do("5. Restore", "pg_create_restore_point")
        (said,) = book.do("5. Restore", "pg_current_wal_lsn").values()
        [lsn] = [line.strip() for line in said.splitlines() if "/" in line]
        wait_until(
            lambda: one(connection, "SELECT count(*) > 1 FROM ops_platform.heartbeats"), 30, "heartbeats"
        )
        at = datetime.now(UTC)
        wait_until(lambda: (datetime.now(UTC) - at).total_seconds() > 1, 5, "a second passes")
        connection.execute("INSERT INTO sentinel VALUES ('after')")
    archive_now(own)
    found = {"TIME": f"{at:%Y-%m-%d %H:%M:%S.%f}+00", "LSN": lsn, "XID": xid, "SET": made_in}
    book.shell.set(**found)
    return found


def test_explaining_changes_nothing(own: RunningStack, book: Runbook, mistake: dict[str, str]) -> None:
    before, listed = state_of(own), sets(own)
    book.do("1. Declare")
    book.do("2. Freeze")
    book.do("3. Look", fails={"status": 1})
    said = book.do("4. Explain")
    for command, text in said.items():
        assert "lost         all that was committed in the last" in text, command
        assert listed[-1].label in text
    assert state_of(own) == before
    assert sets(own) == listed


@pytest.mark.parametrize("kind", ["lsn", "name", "xid", "time"])
def test_a_row_after_the_target_is_absent_and_one_before_it_present(
    own: RunningStack, book: Runbook, mistake: dict[str, str], kind: str
) -> None:
    book.shell.set(DIR=spare(own, kind))
    (said,) = book.do("5. Restore", f"--{kind} ").values()
    assert "FAIL" not in said
    looked = "".join(book.do("6. Verify").values())
    assert "newest_heartbeat" in looked
    assert "before" in looked
    assert "after" not in looked.replace("after_", "")
    # The running product was only read.
    assert notes(own) == ["after", "before"]


def refused(own: RunningStack, *arguments: str) -> tuple[int, str]:
    done = own.run("restore", "--stanza", "product", *arguments)
    assert done.stdout == "", done.stdout
    return done.returncode, done.stderr.strip()


def test_what_is_there_is_never_overwritten(own: RunningStack, mistake: dict[str, str]) -> None:
    full, running = spare(own, "time"), str(own.layout.postgres_data("product"))
    before = {path: path.stat().st_mtime_ns for path in Path(full).rglob("*")}
    for place, word in (
        (full, "is not empty"),
        (running, "stop it first"),
        (f"{full}/PG_VERSION", "is a file"),
    ):
        code, said = refused(own, "--to", place, "--latest", "--yes")
        assert word in said
        if "is a file" not in said:
            assert (code, len(said.splitlines())) == (1, 1), said
    assert {path: path.stat().st_mtime_ns for path in Path(full).rglob("*")} == before
    code, said = refused(own, "--to", spare(own, "early"), "--time", "2001-01-01 00:00:00+00", "--yes")
    assert (code, len(said.splitlines())) == (1, 1), said
    assert "the earliest moment is" in said
    assert not Path(spare(own, "early")).exists()


@pytest.mark.parametrize(
    "target",
    [
        (),
        ("--latest", "--time", "2026-01-01 00:00:00+00"),
        ("--immediate",),
        ("--time", "yesterday"),
        ("--time", "2026-01-01 00:00:00"),
        ("--lsn", "16777216"),
        ("--xid", "first"),
        ("--name", "it's"),
    ],
)
def test_what_is_no_target_is_a_usage_error(own: RunningStack, target: tuple[str, ...]) -> None:
    code, said = refused(own, "--to", spare(own, "never"), *target, "--yes")
    assert code == 2, said
    assert "Traceback" not in said
    assert not Path(spare(own, "never")).exists()


def test_the_restored_cluster_takes_the_place_of_the_old_one(
    own: RunningStack, book: Runbook, mistake: dict[str, str]
) -> None:
    book.shell.set(DIR=spare(own, "time"))
    book.do("7. Promote")
    assert notes(own) == ["before"]
    said = "".join(book.do("8. Back up the new timeline").values())
    assert "verified and recorded" in said
    assert "contiguous" in said
    assert sets(own)[-1].timeline > 1
    said = "".join(book.do("9. Afterwards").values())
    assert "emergency" in said
    assert "ledger intact" in said
    assert len(emergencies(own, "product")) == 4
    with admin(own) as connection:
        connection.execute("INSERT INTO sentinel VALUES ('on the new timeline')")
    archive_now(own)


def test_without_dagster_ops_database_and_data_directory(own: RunningStack, book: Runbook) -> None:
    """The issue's disaster: everything but the repository is away."""
    data = own.layout.postgres_data("product")
    stop(own, *DAGSTER, "traffic", "ops-postgres", "product-postgres")
    shutil.rmtree(data)
    refusal = own.run("up")
    assert (refusal.returncode, "is lost" in refusal.stderr) == (2, True), refusal.stderr
    assert not data.exists()

    book.do("5. Restore", "up object-store")
    (said,) = book.do("5. Restore", "--latest").values()
    assert "the cluster runs at" in said
    assert "will be recorded when it does" in said
    assert "FAIL" not in said
    assert notes(own) == ["before", "on the new timeline"]
    assert {name for name, row in own.status().items() if not row["ready"]} == {
        *DAGSTER, "traffic", "api", "ops-postgres",
    }  # fmt: skip

    book.do("7. Promote", "ops-platform up")
    assert [name for name, row in own.status().items() if not row["ready"]] == []
    wait_until(lambda: len(emergencies(own, "product")) == 5, 180, "the emergency to be recorded", interval=2)
    row = emergencies(own, "product")[-1]
    assert row["result"] == "success", row["reason"]
    assert row["actual_rto_ms"] < row["target_rto_ms"]
    assert list((own.state_dir / "restores" / "unrecorded").iterdir()) == []

    before = sets(own)[-1].timeline
    book.do("8. Back up the new timeline")
    assert sets(own)[-1].timeline == before + 1
    assert status_of(own, "product")["wal_gap_segments"] == 0


def test_the_ops_database_lost_with_its_last_minutes(own: RunningStack, book: Runbook) -> None:
    archive_now(own, "ops")
    with admin(own, "ops") as connection:
        connection.execute("ALTER SYSTEM SET archive_command = 'false'")
        connection.execute("SELECT pg_reload_conf()")
    # Events whose seal is in the bucket, and whose rows will not come back.
    assert own.run("backup", "incr", "--stanza", "product").returncode == 0

    def sealed() -> bool:
        return not ops_rows(
            own,
            "SELECT FROM audit_events e WHERE NOT EXISTS (SELECT FROM audit_seals s"
            " WHERE s.epoch = e.epoch AND e.xid >= s.from_xid AND e.xid < s.to_xid)",
        )

    wait_until(sealed, 90, "the events to be sealed", interval=0.5)
    own.kill_everything()

    book.do("5. Restore", "up object-store")
    book.do("The ops database", "down")
    book.do("The ops database", "mv ")
    (said,) = book.do("The ops database", "--latest").values()
    assert "the cluster runs at" in said
    verify = "ops-platform audit verify"
    # What was lost so recently is a note and not yet a finding: a sealer may have died before its insert.
    first = own.run("audit", "verify")
    assert "in the bucket" in first.stdout, first.stdout
    (opened,) = book.do("The ops database", "open-epoch").values()
    assert "opened by seal" in opened
    assert "lost with the restore: 0" not in opened
    book.do("The ops database", "ops-platform up")
    assert "ledger intact" in "".join(book.do("The ops database", verify).values())
    book.do("The ops database", "backup full")
    assert status_of(own, "ops")["wal_gap_segments"] == 0
    wait_until(lambda: len(emergencies(own, "ops")) == 1, 180, "the emergency to be recorded", interval=2)
    assert [name for name, row in own.status().items() if not row["ready"]] == []


def test_the_review_reads_its_numbers(own: RunningStack, book: Runbook) -> None:
    said = "".join(book.do("Quarterly review").values())
    assert "backup_rpo_target_seconds" in said
    assert "ledger intact" in said


def test_a_fresh_repository_path(own: RunningStack, book: Runbook) -> None:
    """Last: afterwards nothing is archived to the old path any more."""
    old = {backup.label for backup in sets(own)}
    book.shell.set(
        OLD_CONFIG=str(files.default_config_dir()),
        CONFIG=str(own.state_dir / "config"),
        NEW_PATH="/pgbackrest-2",
    )
    # To the old configuration the new sets are lost.
    said = book.do("Promotion of a restored cluster", fails={"ops-platform backups": 1})
    kept = next(
        text for command, text in said.items() if "OLD_CONFIG" in command and "backups --stanza" in command
    )
    assert all(label in kept for label in old)
    [only] = sets(own)
    assert only.kind == "full"
    assert only.label not in old
    archive_now(own)
    for stanza in ("product", "ops"):
        assert status_of(own, stanza)["wal_gap_segments"] == 0
    assert [name for name, row in own.status().items() if not row["ready"]] == []


def test_no_command_was_left_out(book: Runbook) -> None:
    """Of the whole module: a command that no test above has executed may be wrong."""
    assert book.never_executed() == []
