"""The outcome of an exercise, from its answers and times: nothing unknown counts as good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.exercise.runner import judge
from ops_platform.dr.inspection.check_result import CRITICAL, Verification, failed, passed, unknown

REQUEST = ExerciseRequest("scheduled", "product", "latest", "run", "run", 1_800_000, 900_000)
GOOD = [passed(CRITICAL[0], ""), passed("roles", "")]


def rehearsal(
    *answers: Verification, rto: float | None = 60.0, loss: timedelta | None = timedelta(seconds=5)
) -> Rehearsal:
    return Rehearsal(datetime(2026, 1, 1, tzinfo=UTC), results=[*GOOD, *answers], rto_seconds=rto, loss=loss)


def test_all_good_is_a_success() -> None:
    outcome = judge(REQUEST, rehearsal())
    assert (outcome.result, outcome.reason) == ("success", None)
    assert (outcome.rto_ms, outcome.rpo_ms) == (60_000, 5_000)
    assert outcome.verifications == tuple(GOOD)


@pytest.mark.parametrize("name", CRITICAL)
@pytest.mark.parametrize("answer", [failed, unknown])
def test_a_critical_question_without_a_good_answer_fails_it(
    name: str, answer: Callable[[str, str], Verification]
) -> None:
    wrong = answer(name, "it is gone")
    outcome = judge(REQUEST, rehearsal(wrong))
    assert (outcome.result, outcome.reason) == ("failed", f"{name}: {wrong.summary}")


@pytest.mark.parametrize("answer", [failed, unknown])
def test_another_question_without_a_good_answer_leaves_a_part(
    answer: Callable[[str, str], Verification],
) -> None:
    wrong = answer("sequences", "behind")
    outcome = judge(REQUEST, rehearsal(wrong))
    assert (outcome.result, outcome.reason) == ("partial", f"sequences: {wrong.summary}")


def test_every_reason_is_said() -> None:
    outcome = judge(REQUEST, rehearsal(failed("sequences", "behind"), failed("pages", "torn")))
    assert outcome.reason == "sequences: behind; pages: torn"


def test_a_server_that_never_took_traffic_fails_it() -> None:
    outcome = judge(REQUEST, rehearsal(rto=None))
    assert (outcome.result, outcome.reason, outcome.rto_ms) == ("failed", "it never took traffic", None)


def test_a_promised_time_itself_is_kept_and_a_millisecond_more_is_not() -> None:
    loss = timedelta(milliseconds=900_000)
    assert judge(REQUEST, rehearsal(rto=1800.0, loss=loss)).result == "success"
    for late in (
        rehearsal(rto=1800.001, loss=loss),
        rehearsal(rto=1800.0, loss=loss + timedelta(milliseconds=1)),
    ):
        outcome = judge(REQUEST, late)
        assert (outcome.result, outcome.reason) == ("partial", "a promised time was missed")


def test_an_unknown_loss_stays_unknown() -> None:
    assert judge(REQUEST, rehearsal(loss=None)).rpo_ms is None
