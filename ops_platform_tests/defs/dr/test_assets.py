"""The assets of exercises: every verification a check, and nothing that could not run is green."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from ops_platform.definitions import build_defs
from ops_platform.defs.dr.assets import check_result, exercise_key, metadata
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.exercise.report import Outcome
from ops_platform.dr.inspection.check_result import VERIFICATIONS, Verification, failed, passed, unknown
from ops_platform.dr.plan.scenario import SCENARIOS
from ops_platform.settings import Settings, load_settings

NOTHING_SET = {"OPS_STATE_DIR": "/nonexistent"}
LATEST, PITR = exercise_key("product", "latest"), exercise_key("product", "pitr")


class Unconfigured(PlatformResource):
    """The platform as on a machine where nothing was set: no exercise can begin."""

    def settings(self) -> Settings:
        return load_settings(NOTHING_SET)


@pytest.fixture(scope="module")
def job() -> dg.JobDefinition:
    defs = build_defs(load_settings(NOTHING_SET), {"platform": Unconfigured()})
    return defs.resolve_job_def("dr_exercise")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_each_scenario_declares_what_it_must_answer(job: dg.JobDefinition) -> None:
    declared = job.asset_layer.asset_graph.asset_check_keys
    for stanza in ("product", "ops"):
        for scenario in SCENARIOS:
            key = exercise_key(stanza, scenario)
            names = {check.name for check in declared if check.asset_key == key}
            assert names == set(VERIFICATIONS[scenario]), key


@pytest.mark.processes
def test_what_cannot_begin_fails_every_check_and_the_next_scenario_is_tried(
    job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    chosen = job.get_subset(asset_selection={LATEST, PITR})
    ended = chosen.execute_in_process(instance=instance, raise_on_error=False)

    assert not ended.success
    found = {(one.asset_key, one.check_name): one for one in ended.get_asset_check_evaluations()}
    wanted = {(exercise_key("product", of), name) for of in ("latest", "pitr") for name in VERIFICATIONS[of]}
    assert set(found) == wanted
    assert not any(one.passed for one in found.values())
    assert all("could not run" in str(one.description) for one in found.values())
    assert ended.get_asset_materialization_events() == []
    (step,) = (event for event in ended.all_events if event.is_step_failure)
    said = str(step.step_failure_data.user_failure_data)
    assert "latest: " in said
    assert "pitr: " in said


@pytest.mark.processes
def test_a_check_chosen_alone_is_asked_alone(job: dg.JobDefinition, instance: dg.DagsterInstance) -> None:
    chosen = job.get_subset(asset_selection=set(), asset_check_selection={dg.AssetCheckKey(LATEST, "roles")})
    ended = chosen.execute_in_process(instance=instance, raise_on_error=False)

    assert not ended.success
    assert [(one.check_name, one.passed) for one in ended.get_asset_check_evaluations()] == [("roles", False)]


@pytest.mark.parametrize(
    ("answer", "good", "severity"),
    [
        (passed("roles", "all"), True, dg.AssetCheckSeverity.ERROR),
        (failed("roles", "one is missing"), False, dg.AssetCheckSeverity.ERROR),
        (unknown("roles", "no server"), False, dg.AssetCheckSeverity.ERROR),
        (passed("predicted_rto", "soon", share_of_target=0.8), True, dg.AssetCheckSeverity.ERROR),
        (passed("predicted_rto", "late", share_of_target=0.81), False, dg.AssetCheckSeverity.WARN),
        (failed("predicted_rto", "too late", share_of_target=1.2), False, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_an_answer_becomes_a_check(answer: Verification, good: bool, severity: dg.AssetCheckSeverity) -> None:
    result = check_result("product", "performance", answer)
    assert (result.passed, result.severity) == (good, severity)
    assert result.description == answer.summary
    assert result.metadata["result"].value == answer.result


def test_metadata_holds_what_was_measured_and_no_more() -> None:
    outcome = Outcome(
        "partial",
        datetime(2026, 11, 24, tzinfo=UTC),
        rto_ms=12_345,
        phases={"restore": 9.8765},
        copy_rate=2e8,
        verifications=(failed("roles", "a|b"),),
    )
    found = metadata(outcome)
    assert found["rto_seconds"].value == 12.345
    assert found["copy_mb_per_second"].value == 200
    assert found["phase_restore_seconds"].value == 9.877
    assert not {"rpo_seconds", "replay_mb_per_second"} & set(found)
    assert "| roles | **failed** | a\\|b |" in str(found["verifications"].value)
