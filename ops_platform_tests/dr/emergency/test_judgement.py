"""After a restore that is not to be used, the advice fits what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ops_platform.dr.emergency.judgement import judge
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.inspection import Verification, failed, unknown, verdict
from ops_platform.dr.plan import RecoveryTarget


@dataclass(frozen=True)
class PlanOf:
    target: RecoveryTarget


def restored(
    *results: Verification, rto: float | None = None, target: RecoveryTarget | None = None
) -> Rehearsal:
    plan = cast(Any, PlanOf(target or RecoveryTarget.latest()))
    return Rehearsal(datetime(2026, 11, 30, tzinfo=UTC), results=list(results), plan=plan, rto_seconds=rto)


def test_a_good_one_needs_no_advice() -> None:
    judgement = judge(restored(verdict("catalogue", True, "fine"), rto=3.0))
    assert judgement.verified
    assert judgement.advice == ()


NAMED = RecoveryTarget.parse("name", "before the migration")


@pytest.mark.parametrize(
    ("result", "rto", "target", "says", "never"),
    [
        (unknown("restored", "S3 is away"), None, None, "Remove the cause|remove the cause", "earlier"),
        (failed("backup_selected", "free space"), None, None, "Nothing was restored", "--time"),
        (failed("restored", "a file is missing"), None, None, "older one with --set", "--time"),
        (failed("recovered_and_promoted", "FATAL"), None, None, "earlier --time when WAL", "name"),
        (failed("recovered_and_promoted", "FATAL"), None, NAMED, "ends without this name", "earlier --time"),
        (failed("tombstones", "refused"), 3.0, None, "of any other time", "earlier --time"),
        (failed("catalogue", "missing: table x"), 3.0, None, "earlier --time or an older --set", "cause"),
    ],
)
def test_the_advice_is_about_the_first_thing_that_went_wrong(
    result: Verification, rto: float | None, target: RecoveryTarget | None, says: str, never: str
) -> None:
    judgement = judge(restored(result, unknown("roles", "not asked"), rto=rto, target=target))
    assert not judgement.restored
    reason, step = judgement.advice
    assert reason == f"{result.name}: {result.summary}"
    assert any(word in step for word in says.split("|"))
    assert never not in step
    assert step.endswith("into another directory: nothing is ever overwritten.")


def test_a_failure_is_told_before_what_could_not_be_asked() -> None:
    judgement = judge(restored(unknown("catalogue", "no reference"), failed("closed_rows", "gone"), rto=1.0))
    assert judgement.advice[0] == "closed_rows: gone"
