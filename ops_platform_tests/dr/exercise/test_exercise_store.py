"""Rows of dr_exercises: opened once, finished by one function, given up only when nobody works on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from ops_platform.backup.stanza import locks
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise.report import ExerciseRequest, Outcome
from ops_platform.dr.inspection.check_result import failed, passed, unknown
from ops_platform_tests.backup.site import silent
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

T0 = datetime(2026, 11, 24, 7, tzinfo=UTC)
REQUEST = ExerciseRequest("scheduled", "product", "pitr", "run", "root", 1_800_000, 900_000)
GOOD = Outcome(
    "success",
    T0,
    backup_label="20261124-050000F",
    recovery_target="2026-11-24 06:00:00+00",
    rto_ms=12_000,
    rpo_ms=8_000,
    assurance_ms=15_000,
    phases={"restore": 9.123456, "replay": 1.5},
    copy_bytes=2**33,
    copy_seconds=9.0,
    replay_bytes=16 * 2**20,
    replay_seconds=1.5,
    verifications=(passed("roles", "all 9 roles", roles=9), passed("timeline", "2 as expected")),
)
BAD = Outcome(
    "failed", T0, "roles: ops_api is missing", verifications=(failed("roles", "ops_api is missing"),)
)


@pytest.fixture
def worker(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        yield connection


def row(connection: Connection, request: ExerciseRequest = REQUEST) -> dict[str, Any]:
    found = connection.execute(
        "SELECT * FROM dr_exercises WHERE exercise_id = %s", (request.exercise_id,)
    ).fetchone()
    assert found is not None
    return found


def told(connection: Connection, request: ExerciseRequest = REQUEST) -> list[tuple[str, str | None]]:
    """Phase and outcome of the exercise's events in the ledger, in order."""
    rows = connection.execute(
        "SELECT phase, outcome FROM audit_events WHERE operation_id = %s ORDER BY id", (request.exercise_id,)
    ).fetchall()
    return [(one["phase"], one["outcome"]) for one in rows]


def test_an_exercise_goes_from_open_to_success_and_comes_back_as_it_was(worker: Connection) -> None:
    assert records.open_exercise(worker, REQUEST)
    assert not records.open_exercise(worker, REQUEST)
    assert row(worker)["result"] is None
    assert told(worker) == [("intent", None)]
    for _ in range(2):
        records.finish(worker, REQUEST, GOOD)
    found = row(worker)
    assert (found["result"], found["success_criteria_met"]) == ("success", True)
    assert (found["actual_rto_ms"], found["actual_rpo_ms"], found["assurance_ms"]) == (12_000, 8_000, 15_000)
    assert found["verifications"]["roles"] == {
        "result": "pass", "passed": True, "detail": "all 9 roles", "numbers": {"roles": 9},
    }  # fmt: skip
    assert found["completed_at"] >= found["started_at"]
    assert told(worker) == [("intent", None), ("outcome", "success")]
    again = records.outcome_of(found)
    assert replace(again, verifications=GOOD.verifications, phases=GOOD.phases) == GOOD
    # jsonb keeps no order.
    assert {one.name: one for one in again.verifications} == {one.name: one for one in GOOD.verifications}
    assert again.phases == {"restore": 9.123, "replay": 1.5}


def test_an_exercise_that_never_got_to_its_row_is_recorded_all_the_same(worker: Connection) -> None:
    records.finish(worker, REQUEST, BAD)
    assert (row(worker)["result"], row(worker)["success_criteria_met"]) == ("failed", False)
    assert row(worker)["reason"] == "roles: ops_api is missing"
    assert told(worker) == [("intent", None), ("outcome", "failed")]


@pytest.mark.parametrize(
    "untrue",
    [
        replace(GOOD, verifications=(*GOOD.verifications, failed("amcheck", "damaged"))),
        replace(GOOD, verifications=(*GOOD.verifications, unknown("amcheck", "no program"))),
        replace(GOOD, rto_ms=REQUEST.target_rto_ms + 1),
        replace(GOOD, rto_ms=None),
        replace(GOOD, rpo_ms=REQUEST.target_rpo_ms + 1),
        replace(BAD, reason=None),
    ],
)
def test_what_the_numbers_deny_is_refused(ops_database: OpsDatabase, untrue: Outcome) -> None:
    with postgres.session(ops_database.url("ops_worker"), autocommit=True) as worker:
        records.open_exercise(worker, REQUEST)
        with pytest.raises(psycopg.errors.CheckViolation), worker.transaction():
            records.finish(worker, REQUEST, untrue)
        assert row(worker)["result"] is None
        assert told(worker) == [("intent", None)]


@pytest.mark.parametrize("result", ["running", "good", None])
def test_no_other_end_exists(worker: Connection, result: str | None) -> None:
    records.open_exercise(worker, REQUEST)
    with pytest.raises(psycopg.errors.CheckViolation):
        worker.execute("SELECT record_exercise_completion(%s, %s, now())", (REQUEST.exercise_id, result))


def test_a_finished_exercise_does_not_change(worker: Connection) -> None:
    records.finish(worker, REQUEST, BAD)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="already failed"):
        records.finish(worker, REQUEST, GOOD)


def test_an_unknown_exercise_is_refused(worker: Connection) -> None:
    with pytest.raises(psycopg.errors.NoDataFound, match="there is no exercise nothing"):
        worker.execute("SELECT record_exercise_completion('nothing', 'failed', now())")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE dr_exercises SET result = 'success'",
        "DELETE FROM dr_exercises",
        "TRUNCATE dr_exercises",
        "SET session_replication_role = replica; DELETE FROM dr_exercises",
    ],
)
def test_nobody_else_changes_a_row_not_even_a_superuser(ops_database: OpsDatabase, statement: str) -> None:
    with postgres.session(ops_database.url("ops_worker")) as worker:
        records.open_exercise(worker, REQUEST)
    with ops_database.superuser() as superuser, pytest.raises(psycopg.errors.InsufficientPrivilege):
        superuser.execute(statement.encode())
    with postgres.session(ops_database.url("ops_worker")) as worker:
        assert row(worker)["result"] is None


def test_only_dead_exercises_of_this_stanza_are_reconciled(worker: Connection) -> None:
    other, mine = replace(REQUEST, stanza="ops"), replace(REQUEST, run_id="mine")
    for request in (REQUEST, other, mine):
        records.open_exercise(worker, request)
    assert records.reconcile(worker, "product", but=mine.exercise_id) == [REQUEST.exercise_id]
    found = row(worker)
    assert (found["result"], found["reconciled"]) == ("failed", True)
    assert "died without a word" in found["reason"]
    assert row(worker, other)["result"] is row(worker, mine)["result"] is None
    assert told(worker) == [("intent", None), ("outcome", "failed")]
    assert records.reconcile(worker, "product", but=mine.exercise_id) == []


def test_who_was_given_up_for_dead_and_lives_has_the_last_word(worker: Connection) -> None:
    records.open_exercise(worker, REQUEST)
    records.reconcile(worker, "product")
    records.finish(worker, REQUEST, GOOD)
    assert (row(worker)["result"], row(worker)["reconciled"]) == ("success", False)
    assert told(worker) == [("intent", None), ("outcome", "failed"), ("outcome", "success")]


def test_nobody_is_given_up_while_the_exercise_holds_the_lock(ops_database: OpsDatabase) -> None:
    url = ops_database.url()
    with postgres.session(url) as connection:
        records.open_exercise(connection, REQUEST)
    with locks.held(url, records.lock_name("product"), 1, silent):
        assert records.reconcile_dead(url, "product") == []
    assert records.reconcile_dead(url, "product") == [REQUEST.exercise_id]


def test_abandoned_are_those_that_nobody_works_on(ops_database: OpsDatabase) -> None:
    url, ops, both = ops_database.url("ops_worker"), replace(REQUEST, stanza="ops"), ("product", "ops")
    with postgres.session(url, autocommit=True) as connection:
        assert records.abandoned(connection, both) == []
        for request in (REQUEST, ops):
            records.open_exercise(connection, request)
        records.finish(connection, replace(REQUEST, run_id="done"), BAD)
        with locks.held(url, records.lock_name("product"), 1, silent):
            assert records.abandoned(connection, both) == [ops.exercise_id]
        assert records.abandoned(connection, both) == [REQUEST.exercise_id, ops.exercise_id]
        assert records.abandoned(connection, ["ops"]) == [ops.exercise_id]
        records.reconcile_dead(url, "product")
        assert records.abandoned(connection, both) == [ops.exercise_id]


def test_rows_of_the_published_shape_are_nobodys_to_give_up(worker: Connection) -> None:
    worker.execute(
        "INSERT INTO dr_exercises (exercise_id, exercise_type, scenario, started_at, target_rto_ms, "
        "target_rpo_ms) VALUES ('e', 'manual', 'pitr', now(), 1, 1)"
    )
    assert records.reconcile(worker, "product") == []


def test_a_replay_finds_the_success_of_its_root_only(worker: Connection) -> None:
    records.finish(worker, REQUEST, BAD)
    assert records.find_success(worker, "root", "product", "pitr") is None
    retried = replace(REQUEST, run_id="again")
    records.finish(worker, retried, GOOD)
    found = records.find_success(worker, "root", "product", "pitr")
    assert found is not None
    assert found["exercise_id"] == retried.exercise_id
    assert records.find_success(worker, "root", "product", "latest") is None
    assert records.find_success(worker, "root", "ops", "pitr") is None
    assert records.find_success(worker, "other", "product", "pitr") is None


STEPS: list[Callable[[Connection], object]] = [
    lambda c: records.open_exercise(c, REQUEST),
    lambda c: records.finish(c, REQUEST, GOOD),
]


@pytest.mark.parametrize("died_in", range(len(STEPS)))
@pytest.mark.parametrize("committed", [False, True])
def test_a_worker_killed_in_any_step_leaves_a_row_that_the_next_one_ends(
    ops_database: OpsDatabase, died_in: int, committed: bool
) -> None:
    """Each step is one transaction: its server process is killed before or after the commit."""
    url = ops_database.url("ops_worker")
    for step in STEPS[:died_in]:
        with postgres.session(url) as connection:
            step(connection)
    dying = postgres.connect(url)
    STEPS[died_in](dying)
    if committed:
        dying.commit()
    with ops_database.superuser() as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s)", (dying.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        dying.execute("SELECT 1")
    dying.close()

    records.reconcile_dead(url, "product")

    with postgres.session(url) as connection:
        if (died_in, committed) == (0, False):
            assert told(connection) == []
            return
        finished = (died_in, committed) == (1, True)
        outcome = "success" if finished else "failed"
        assert row(connection)["result"] == outcome
        assert told(connection) == [("intent", None), ("outcome", outcome)]
