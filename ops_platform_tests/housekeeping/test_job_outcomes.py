"""Whether a job fails: told of in any order, more than once, and kept until it succeeds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.housekeeping import job_outcomes
from ops_platform.housekeeping.job_outcomes import Work
from ops_platform_tests.console import Console
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
INCREMENTAL = Work("backup_incr", "product")
BECAUSE = "the disk is replaced tonight"


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        yield connection


def at(minute: int) -> datetime:
    return BEGUN + timedelta(minutes=minute)


def fail(
    ops: Connection, minute: int, work: Work = INCREMENTAL, *, retry: bool = False, cause: str = "S3 is away"
) -> None:
    job_outcomes.record_failure(ops, work, "backup", f"run-{minute}", at(minute), cause, retry_expected=retry)


def succeed(ops: Connection, minute: int, work: Work = INCREMENTAL) -> None:
    job_outcomes.record_success(ops, work, "backup", at(minute))


def state(ops: Connection) -> list[tuple[str, int, int, str]]:
    """What fails: since which minute, how often, the newest run."""
    return [
        (str(one.work), round((one.since - BEGUN).total_seconds() / 60), one.failures, one.run_id)
        for one in job_outcomes.failing(ops)
    ]


def test_it_fails_until_it_succeeds(ops: Connection) -> None:
    fail(ops, 1)
    fail(ops, 2)
    fail(ops, 2)
    assert state(ops) == [("backup_incr of product", 1, 2, "run-2")]
    succeed(ops, 3, Work("backup_incr", "other"))
    succeed(ops, 3, Work("backup_full", "product"))
    assert state(ops) == [("backup_incr of product", 1, 2, "run-2")]
    succeed(ops, 3)
    assert state(ops) == []
    fail(ops, 4)
    assert state(ops) == [("backup_incr of product", 4, 1, "run-4")]


EVENTS: tuple[tuple[str, Callable[[Connection, int], None], int], ...] = (
    ("fails at 1", fail, 1),
    ("succeeds at 2", succeed, 2),
    ("fails at 3", fail, 3),
)


@pytest.mark.parametrize(
    "order", list(itertools.permutations(EVENTS)), ids=lambda order: ", ".join(x[0] for x in order)
)
def test_in_whatever_order_it_is_told_the_end_is_the_same(
    ops: Connection, order: tuple[tuple[str, Callable[[Connection, int], None], int], ...]
) -> None:
    for _, tell, minute in order:
        tell(ops, minute)
        tell(ops, minute)
    assert state(ops) == [("backup_incr of product", 3, 1, "run-3")]


def test_a_success_that_is_told_late_ends_what_failed_before_it_only(ops: Connection) -> None:
    fail(ops, 5)
    succeed(ops, 4)
    assert state(ops) == [("backup_incr of product", 5, 1, "run-5")]
    succeed(ops, 6)
    succeed(ops, 4)
    assert state(ops) == []


def test_a_run_that_is_started_again_is_waited_for_and_not_for_ever(ops: Connection) -> None:
    now = datetime.now(UTC)
    for work, age in ((INCREMENTAL, timedelta(minutes=14)), (Work("slo_windows"), timedelta(minutes=16))):
        job_outcomes.record_failure(
            ops, work, "backup", f"run of {work}", now - age, "its worker is gone", retry_expected=True
        )
    assert [str(one.work) for one in job_outcomes.failing(ops)] == ["slo_windows"]


def request(ops: Connection, request_id: str, status: str) -> Work:
    ops.execute(
        "INSERT INTO gdpr_requests (request_id, creator_id, request_type, status, requestor_email) "
        "VALUES (%s, gen_random_uuid(), 'export', %s, '')",
        (request_id, status),
    )
    return Work("gdpr_export", "", request_id)


def test_a_request_that_has_ended_otherwise_fails_no_more(ops: Connection) -> None:
    works = [
        request(ops, f"q-{status}", status) for status in ("pending", "processing", "completed", "failed")
    ]
    for work in works:
        fail(ops, 1, work)
    assert [one.work for one in job_outcomes.failing(ops)] == sorted(
        works[:2], key=lambda one: one.request_id
    )
    assert job_outcomes.forget_ended_requests(ops, at(0)) == 0
    assert job_outcomes.forget_ended_requests(ops, at(2)) == 2
    succeed(ops, 2, works[0])
    assert [one.work for one in job_outcomes.failing(ops)] == [works[1]]
    kept = ops.execute("SELECT count(*) AS n FROM job_outcomes").fetchall()
    assert kept[0]["n"] == 1


def test_somebody_takes_care_until_it_fails_again(ops: Connection) -> None:
    fail(ops, 1)
    with pytest.raises(ConfigurationError, match="at least 10 characters"):
        job_outcomes.acknowledge(ops, INCREMENTAL, "ada", "later")
    with pytest.raises(ConfigurationError, match="names the person"):
        job_outcomes.acknowledge(ops, INCREMENTAL, " ", BECAUSE)
    with pytest.raises(CheckFailed, match="backup_full of product does not fail"):
        job_outcomes.acknowledge(ops, Work("backup_full", "product"), "ada", BECAUSE)
    assert state(ops) == [("backup_incr of product", 1, 1, "run-1")]

    job_outcomes.acknowledge(ops, INCREMENTAL, "ada", BECAUSE)
    assert state(ops) == []
    [told] = ops.execute(
        "SELECT actor, object, details FROM audit_events WHERE action = 'run_failure.acknowledged'"
    ).fetchall()
    assert (told["actor"], told["object"]) == ("person:ada", "job/backup_incr of product")
    assert told["details"]["because"] == BECAUSE
    fail(ops, 1)
    assert state(ops) == []
    fail(ops, 2)
    assert state(ops) == [("backup_incr of product", 1, 2, "run-2")]


def test_the_command_line_lists_and_acknowledges(
    ops_database: OpsDatabase,
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console({"OPS_DATABASE_URL": ops_database.url("ops_worker")}, monkeypatch, capsys)
    nothing = console.run("failures")
    assert (nothing.returncode, nothing.stdout) == (0, "no job fails\n")
    fail(ops, 1, cause="the disk is full: free 3 GB")
    ops.commit()
    listed = console.run("failures")
    assert listed.returncode == 1
    assert "backup_incr of product" in listed.stdout
    assert "the disk is full: free 3 GB" in listed.stdout
    taken = console.run(
        "failures", "acknowledge", "backup_incr", "--stanza", "product", "--by", "ada", "--because", BECAUSE
    )
    assert taken.returncode == 0, taken.stderr
    after = console.run("failures", "--json")
    assert after.returncode == 0
    [one] = json.loads(after.stdout)
    assert (one["job_name"], one["failures"], one["acknowledged_by"]) == ("backup_incr", 1, "ada")
