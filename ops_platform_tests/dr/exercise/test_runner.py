"""An exercise is recorded whatever ends it, and is only good when everything was asked and passed.

All scenarios of a sound source, and what each finds in a broken one: ``dr/corpus``.
"""

from __future__ import annotations

from uuid import uuid4

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.dr.practice import strike

pytestmark = pytest.mark.services


def request_for(site: Site, scenario: str, root: str | None = None) -> ExerciseRequest:
    run = str(uuid4())
    return ExerciseRequest("manual", site.name, scenario, run, root or run, 1_800_000, 900_000)


@pytest.mark.parametrize(
    "scenario",
    [
        "latest",
        pytest.param("pitr", marks=pytest.mark.full),
        "integrity",
    ],
)
def test_a_sound_backup_passes_everything(beating: Site, scenario: str) -> None:
    strike(beating, 1)
    request = request_for(beating, scenario)
    outcome = runner.run(beating.context, request, print, silent)
    assert outcome.result == "success", outcome.reason
    assert scratch.leftovers(beating.settings) == []
    if scenario == "pitr":
        (told,) = (one.summary for one in outcome.verifications if one.name == "recovery_target")
        assert "the next one is absent" in told
    with postgres.session(beating.context.ops_url) as ops:
        row = records.history(ops, beating.name, 1)[0]
    assert row["success_criteria_met"] is True
    assert row["actual_rto_ms"] == outcome.rto_ms
    again = runner.run(beating.context, request_for(beating, scenario, request.run_id), print, silent)
    assert (again.result, again.t0, again.rto_ms) == (outcome.result, outcome.t0, outcome.rto_ms)
    assert {one.name for one in again.verifications} == {one.name for one in outcome.verifications}
    with postgres.session(beating.context.ops_url) as ops:
        # Other modules exercise the same site.
        its = [row for row in records.history(ops, beating.name) if row["root_run_id"] == request.run_id]
    assert [row["exercise_id"] for row in its] == [request.exercise_id]
