"""Each damage of the canary is caught by the check that is named, and a check that sleeps is found out."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from ops_platform.backup.wal import History
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.dr.exercise import knowledge
from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.inspection.check_result import Verification, failed, passed, unknown
from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.restore.scratch_cluster import scratch
from ops_platform.dr.verification import negative_control as canary
from ops_platform.dr.verification import suite as questions
from ops_platform.dr.verification.negative_control import DAMAGES
from ops_platform.dr.verification.suite import ExerciseChecks, References
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.backup.site import Site, silent


@dataclass(frozen=True)
class Copy:
    """A cluster that stands for a restored one."""

    cluster: PostgresCluster

    def connect(self, database: str) -> Connection:
        return postgres.connect(self.cluster.superuser_dsn(database), autocommit=True)

    def databases(self) -> list[str]:
        return ["product"]


@dataclass(frozen=True)
class Damaged(ExerciseChecks):
    """The real questions, asked of a copy that is damaged first."""

    damage: Callable[[RestoredServer], None]

    def tombstones(self, server: RestoredServer) -> Verification:
        self.damage(server)
        return super().tombstones(server)


def attempt(site: Site, damage: Callable[[RestoredServer], None]) -> Rehearsal:
    """The deepest scenario, to the end of the archive."""
    asked = questions.prepare(site.context, "integrity", silent)
    t0 = datetime.now(UTC)
    damaged = Damaged(asked.ctx, asked.scenario, asked.find, asked.log, damage)
    known = knowledge.gather(site.context, "latest", t0, damaged)
    with scratch(site.settings, "test:canary", f"c{uuid.uuid4().hex[:6]}") as here:
        return rehearse(site.context, here, "integrity", known, t0, silent, silent)


def month(number: int) -> datetime:
    return datetime(2026, 1 + number, 1, tzinfo=UTC)


def test_twelve_months_make_all_damages() -> None:
    turns = {(at.year * 12 + at.month) % len(DAMAGES) for at in map(month, range(12))}
    assert turns == set(range(len(DAMAGES)))


@pytest.mark.full
@pytest.mark.parametrize("number", range(len(DAMAGES)), ids=[one.caught_by for one in DAMAGES])
def test_every_damage_is_caught(beating: Site, number: int) -> None:
    # A moment with a reference on each side, as that of every exercise.
    moment = datetime.now(UTC)
    asked = questions.prepare(beating.context, "integrity", lambda line: None)
    at = next(at for at in map(month, range(12)) if (at.year * 12 + at.month) % len(DAMAGES) == number)
    answers = []

    def damage(server: RestoredServer) -> None:
        def find() -> References:
            return asked.find(moment, History(1))

        known = dict(
            [*questions.critical(server, "product", find), *questions.assurance(server, "product", find)]
        )
        answers.append(canary.damage_and_check(server, "product", known, at))

    done = attempt(beating, damage)
    assert [one.result for one in answers] == ["pass"], answers
    assert DAMAGES[number].caught_by in answers[0].summary
    assert DAMAGES[number].caught_by in {one.name for one in done.results if one.result == "fail"}


@pytest.mark.services
@pytest.mark.parametrize(
    ("sleepy", "said"),
    [
        (passed("roles", "all is well"), "was ACCEPTED by roles"),
        (unknown("roles", "away"), "was not noticed by roles, which could not tell: could not run: away"),
    ],
)
def test_a_check_that_accepts_the_damage_is_found_out(site: Site, sleepy: Verification, said: str) -> None:
    roles = next(number for number, one in enumerate(DAMAGES) if one.caught_by == "roles")
    at = next(at for at in map(month, range(12)) if (at.year * 12 + at.month) % len(DAMAGES) == roles)
    copy = Copy(site.cluster)
    try:
        answer = canary.damage_and_check(copy, "product", {"roles": lambda: sleepy}, at)  # type: ignore[arg-type]
        assert answer.result == "fail"
        assert said in answer.summary
    finally:
        with site.cluster.superuser() as superuser:
            superuser.execute(f"DROP ROLE IF EXISTS {canary.ROLE}")
    assert failed("roles", "x").result == "fail"
