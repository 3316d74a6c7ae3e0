"""An exercise is recorded whatever ends it, and is only good when everything was asked and passed."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ops_platform.clients import postgres
from ops_platform.dr import exercise, questions, records, scratch
from ops_platform.dr.report import ExerciseRequest
from ops_platform_tests.backup.conftest import Site, silent
from ops_platform_tests.dr.conftest import archive_now, strike

pytestmark = pytest.mark.services


def request_for(site: Site, scenario: str, root: str | None = None) -> ExerciseRequest:
    run = str(uuid4())
    return ExerciseRequest("manual", site.name, scenario, run, root or run, 1_800_000, 900_000)


@pytest.fixture(scope="module")
def referenced(beating: Site) -> Site:
    """With a reference from before the moments that can be restored."""
    questions.refresh(beating.context)
    strike(beating, 4)
    archive_now(beating)
    return beating


@pytest.mark.parametrize("scenario", ["latest", "pitr", "integrity"])
def test_a_sound_backup_passes_everything(referenced: Site, scenario: str) -> None:
    strike(referenced, 1)
    request = request_for(referenced, scenario)
    outcome = exercise.run(referenced.context, request, print, silent)
    assert outcome.result == "success", outcome.reason
    assert scratch.leftovers(referenced.settings) == []
    with postgres.session(referenced.context.ops_url) as ops:
        row = records.history(ops, referenced.name, 1)[0]
    assert row["success_criteria_met"] is True
    assert row["actual_rto_ms"] == outcome.rto_ms
    again = exercise.run(referenced.context, request_for(referenced, scenario, request.run_id), print, silent)
    assert (again.result, again.t0, again.rto_ms) == (outcome.result, outcome.t0, outcome.rto_ms)
    assert {one.name for one in again.verifications} == {one.name for one in outcome.verifications}
    with postgres.session(referenced.context.ops_url) as ops:
        assert len([row for row in records.history(ops, referenced.name) if row["scenario"] == scenario]) == 1
