"""A restore's worth, from the answers to its questions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ops_platform.dr.emergency import judgement as emergency
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.inspection.check_result import Verification, failed, passed, unknown


@pytest.mark.parametrize(
    ("answers", "restored", "may_start", "verified"),
    [
        ([passed("catalogue", ""), passed("sequences", "")], True, True, True),
        ([passed("catalogue", ""), unknown("sequences", "")], True, True, False),
        ([unknown("catalogue", ""), passed("sequences", "")], True, False, False),
        ([unknown("catalogue", ""), failed("sequences", "")], False, False, False),
        ([failed("catalogue", "")], False, False, False),
    ],
)
def test_what_a_restore_is_worth(
    answers: list[Verification], restored: bool, may_start: bool, verified: bool
) -> None:
    done = Rehearsal(datetime.now(UTC), results=answers, rto_seconds=1.0)
    judged = emergency.judge(done)
    assert (judged.restored, judged.may_start, judged.verified) == (restored, may_start, verified)
    done.rto_seconds = None
    judged = emergency.judge(done)
    assert (judged.restored, judged.may_start, judged.verified) == (False, False, False)
