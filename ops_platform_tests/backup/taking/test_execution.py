"""Backups on real services: taken, verified, recorded; adopted by replays; one at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from ops_platform.backup.stanza import locks
from ops_platform.backup.taking import execution
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform_tests.backup.site import Done, Site, silent, take

pytestmark = pytest.mark.services


def test_an_incremental_without_a_full_is_a_full_and_says_so(site: Site, first_backup: Done) -> None:
    report = first_backup.report
    assert (report.requested_kind, report.backup_set.kind) == ("incremental", "full")
    assert any("the incremental asked for will be a full" in line for line in first_backup.lines)
    row = site.report(first_backup.request.run_id)
    assert (row["requested_kind"], row["kind"]) == ("incremental", "full")
    assert report.backup_set.annotations["requested_kind"] == "incremental"


def test_the_report_says_what_the_repository_holds(backed_up: Site, second_backup: Done) -> None:
    made = backed_up.repository().set(second_backup.report.backup_set.label)
    assert made is not None
    row = backed_up.report(second_backup.request.run_id)
    assert row["status"] == "completed"
    assert (row["label"], row["prior_label"], row["kind"]) == (made.label, made.prior, "differential")
    assert (row["started_at"], row["completed_at"]) == (made.started_at, made.completed_at)
    assert row["duration_ms"] == made.seconds * 1000
    assert (row["size_bytes"], row["delta_bytes"]) == (made.size_bytes, made.delta_bytes)
    assert (row["lsn_start"], row["lsn_stop"]) == (made.lsn_start, made.lsn_stop)
    assert (row["wal_start"], row["wal_stop"]) == (made.wal_start, made.wal_stop)
    assert row["repository_uri"].endswith(f"/backup/{backed_up.name}/{made.label}")
    assert made.annotations["root_run_id"] == second_backup.request.root_run_id
    assert backed_up.audit(second_backup.request.run_id) == [("intent", None), ("outcome", "success")]


def test_progress_rises_to_the_end(first_backup: Done) -> None:
    assert first_backup.fractions == sorted(first_backup.fractions)
    assert first_backup.fractions[-1] == 1.0


def test_no_secret_is_printed(backed_up: Site, first_backup: Done) -> None:
    said = "\n".join(first_backup.lines)
    assert "--repo1-s3-key-secret=<redacted>" in said
    identity = backed_up.settings.s3.identity("backup")
    for secret in (backed_up.settings.pgbackrest.cipher_pass, identity.secret_access_key):
        assert secret is not None
        assert secret.get_secret_value() not in said


def test_recording_twice_changes_nothing(backed_up: Site, second_backup: Done) -> None:
    request = second_backup.request
    row = backed_up.report(request.run_id)

    taken = execution.require_taken(backed_up.context, request)
    assert execution.record(backed_up.context, request, taken) == second_backup.report
    execution.fail(backed_up.context, request, "a later step failed")

    assert backed_up.report(request.run_id) == row
    assert backed_up.audit(request.run_id) == [("intent", None), ("outcome", "success")]


def test_recording_waits_for_an_ops_database_that_restarts(backed_up: Site, second_backup: Done) -> None:
    taken = execution.require_taken(backed_up.context, second_backup.request)
    database, allow = backed_up.database, "ALTER DATABASE {} ALLOW_CONNECTIONS {}"

    def connections(allowed: bool) -> None:
        with database.cluster.superuser() as superuser:
            superuser.execute(sql.SQL(allow).format(sql.Identifier(database.name), sql.Literal(allowed)))

    connections(False)
    try:
        with ThreadPoolExecutor() as pool:
            recording = pool.submit(execution.record, backed_up.context, second_backup.request, taken)
            with pytest.raises(TimeoutError):
                recording.result(0.5)
            connections(True)
            assert recording.result(30) == second_backup.report
    finally:
        connections(True)


def test_a_replay_adopts_the_set_and_refreshes_nothing(backed_up: Site, second_backup: Done) -> None:
    labels = backed_up.labels()

    replay = take(backed_up, "differential", root=second_backup.request.run_id)

    assert backed_up.labels() == labels
    assert replay.report.adopted
    assert replay.report.backup_set == second_backup.report.backup_set
    row = backed_up.report(replay.request.run_id)
    assert (row["adopted"], row["status"]) == (True, "completed")
    assert row["completed_at"] == second_backup.report.backup_set.completed_at


@pytest.fixture
def newest_full(backed_up: Site) -> Done:
    return take(backed_up, "full")


@pytest.mark.full
@pytest.mark.usefixtures("newest_full", "wal_object_removed")
def test_a_replay_does_not_adopt_a_set_that_cannot_be_restored(newest_full: Done, backed_up: Site) -> None:
    replay = take(backed_up, "full", root=newest_full.request.run_id)
    assert not replay.report.adopted
    assert replay.report.backup_set.label != newest_full.report.backup_set.label


def test_a_run_that_asks_for_another_kind_adopts_nothing(backed_up: Site, second_backup: Done) -> None:
    other = backed_up.request("full", root=second_backup.request.run_id)
    assert execution.find_taken(backed_up.context, other) is None
    with pytest.raises(CheckFailed, match="replay the run from its first step"):
        execution.require_taken(backed_up.context, other)


def test_two_at_once_are_taken_one_after_the_other(backed_up: Site) -> None:
    lines: list[str] = []
    requests = [backed_up.request("incremental") for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(execution.run_backup, backed_up.context, request, lines.append, silent)
            for request in requests
        ]
        sets = sorted((run.result().backup_set for run in runs), key=lambda one: one.started_at)
    assert sets[0].label != sets[1].label
    assert sets[0].completed_at <= sets[1].started_at
    assert any("waiting for the lock backup/" in line for line in lines)


def test_a_backup_waits_for_one_taken_by_hand(backed_up: Site) -> None:
    started = threading.Event()
    lines: list[str] = []

    def by_hand() -> str:
        return backed_up.context.pgbackrest.backup("incr", {}, lambda line: started.set(), silent)

    with ThreadPoolExecutor() as pool:
        hand = pool.submit(by_hand)
        assert started.wait(30)
        report = execution.run_backup(
            backed_up.context, backed_up.request("incremental"), lines.append, silent
        )
        assert report.backup_set.prior == hand.result()
    assert any("another pgBackRest process holds the stanza's lock" in line for line in lines)


def test_a_lock_says_who_holds_it(backed_up: Site) -> None:
    url = backed_up.context.ops_url
    assert not locks.is_held(url, backed_up.name)
    with locks.stanza_lock(url, backed_up.name, 1, silent):
        assert locks.is_held(url, backed_up.name)
        with (
            pytest.raises(Unavailable, match=f"is held by ops-platform backup/{backed_up.name} "),
            locks.stanza_lock(url, backed_up.name, 0.1, silent),
        ):
            pass


def test_sets_are_removed_by_one_alone_and_read_by_many(backed_up: Site) -> None:
    url, name = backed_up.context.ops_url, backed_up.name
    with (
        locks.sets_in_use(url, name, 1, silent),
        locks.sets_in_use(url, name, 1, silent),
        pytest.raises(Unavailable, match=f"the lock sets/{name} is held"),
        locks.sets_exclusive(url, name, 0.1, silent),
    ):
        pass


def test_a_failure_is_recorded_with_its_reason(backed_up: Site) -> None:
    context = replace(
        backed_up.context, pgbackrest=replace(backed_up.context.pgbackrest, binary="/nowhere/pgbackrest")
    )
    request = backed_up.request("incremental")
    with pytest.raises(Unavailable):
        execution.run_backup(context, request, silent, silent)
    row = backed_up.report(request.run_id)
    assert row["status"] == "failed"
    assert "is not on this machine" in row["error_reason"]
    assert backed_up.audit(request.run_id) == [("intent", None), ("outcome", "failed")]


def test_verify_names_the_wal_that_is_missing(backed_up: Site, wal_object_removed: str) -> None:
    label = backed_up.labels()[-1]
    with pytest.raises(CheckFailed, match=f"WAL segments are not in the repository .{wal_object_removed}."):
        execution.verify(backed_up.context, label, silent)


def test_verify_names_the_set_that_is_missing(backed_up: Site) -> None:
    with pytest.raises(CheckFailed, match="set 20200101-000000F is not in the repository"):
        execution.verify(backed_up.context, "20200101-000000F", silent)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE backup_reports SET status = 'completed'",
        "DELETE FROM backup_reports",
        "TRUNCATE backup_reports",
        "INSERT INTO backup_reports (backup_id, kind, started_at, status, completed_at, stanza,"
        " requested_kind, run_id, root_run_id, launched_by)"
        " VALUES ('x', 'wal_archive', now(), 'completed', now(), 's', 'full', 'r', 'r', 'cli')",
    ],
)
@pytest.mark.parametrize("role", ["ops_worker", "ops_agent", "ops_owner", "superuser"])
def test_a_report_is_finished_by_the_function_only(backed_up: Site, statement: str, role: str) -> None:
    database = backed_up.database
    connection = database.superuser() if role == "superuser" else postgres.connect(database.url(role))
    with connection, pytest.raises(psycopg.Error):
        connection.execute(statement)
