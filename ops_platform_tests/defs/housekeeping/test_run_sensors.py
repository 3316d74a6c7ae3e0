"""The sensors that keep whether each job fails, over runs of a real Dagster instance."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster_shared.error import SerializableErrorInfo

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.housekeeping import run_cause, sensors
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.stanza_jobs import STANZA_TAG
from ops_platform.errors import Unavailable
from ops_platform.housekeeping import job_outcomes
from ops_platform.housekeeping.job_outcomes import Work
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


class Known(PlatformResource):
    """The platform with settings of a test."""

    values: dict[str, str]

    def settings(self) -> Settings:
        return load_settings(self.values)


@dg.op(config_schema={"how": str})
def work(context: dg.OpExecutionContext) -> None:
    how = context.op_config["how"]
    with reported_failures():
        if how == "refused":
            raise Unavailable("S3 at s3.example is away: start it")
        if how == "unforeseen":
            raise KeyError("anna@example.org")


@dg.job(tags={"duty": "backup"}, executor_def=dg.in_process_executor)
def some_backup() -> None:
    work()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        yield connection


def run(instance: dg.DagsterInstance, how: str, **tags: str) -> dg.DagsterRun:
    done = some_backup.execute_in_process(
        run_config={"ops": {"work": {"config": {"how": how}}}},
        instance=instance,
        raise_on_error=False,
        tags={STANZA_TAG: "product", **tags},
    )
    made = instance.get_run_by_id(done.run_id)
    assert made is not None
    return made


def tell(instance: dg.DagsterInstance, made: dg.DagsterRun, database: OpsDatabase) -> None:
    """Evaluate the sensor that Dagster would, with the run's own last event."""
    platform = Known(values={"OPS_DATABASE_URL": database.url("ops_worker")})
    last = [entry.dagster_event for entry in instance.all_logs(made.run_id) if entry.dagster_event][-1]
    context = dg.build_run_status_sensor_context(
        sensor_name="any",
        dagster_event=last,
        dagster_instance=instance,
        dagster_run=made,
        resources={"platform": platform},
    )
    if made.status == dg.DagsterRunStatus.SUCCESS:
        sensors.run_successes(context)
    else:
        sensors.run_failures(context.for_run_failure())


def test_a_failure_is_kept_with_its_cause_until_the_same_succeeds(
    instance: dg.DagsterInstance, ops_database: OpsDatabase, ops: Connection
) -> None:
    for _ in range(2):
        tell(instance, run(instance, "refused"), ops_database)
    tell(instance, run(instance, "well", **{STANZA_TAG: "other"}), ops_database)
    [one] = job_outcomes.failing(ops)
    assert (one.work, one.duty, one.failures) == (Work("some_backup", "product"), "backup", 2)
    assert one.cause == "S3 at s3.example is away: start it"
    tell(instance, run(instance, "well"), ops_database)
    assert job_outcomes.failing(ops) == []


def test_no_value_of_an_unforeseen_error_is_kept(
    instance: dg.DagsterInstance, ops_database: OpsDatabase, ops: Connection
) -> None:
    tell(instance, run(instance, "unforeseen"), ops_database)
    [one] = job_outcomes.failing(ops)
    assert "unexpected KeyError" in one.cause
    assert "anna" not in one.cause


def test_a_run_that_dagster_starts_again_is_waited_for(
    instance: dg.DagsterInstance, ops_database: OpsDatabase, ops: Connection
) -> None:
    tell(instance, run(instance, "refused", **{sensors.WILL_RETRY_TAG: "true"}), ops_database)
    assert job_outcomes.failing(ops) == []
    tell(instance, run(instance, "refused"), ops_database)
    [one] = job_outcomes.failing(ops)
    assert one.failures == 2


def test_of_a_run_that_never_began_the_cause_is_what_kept_it(instance: dg.DagsterInstance) -> None:
    made = dg.DagsterRun(job_name="some_backup", run_id="9a1b0000-0000-4000-8000-000000000001")
    instance.add_run(made)
    refused = SerializableErrorInfo("grpc.RpcError: connection refused\n", [], "E", None)
    unreachable = SerializableErrorInfo(
        "dagster._core.errors.DagsterUserCodeUnreachableError: Could not reach user code server\n",
        [],
        "E",
        refused,
    )
    instance.report_engine_event("Launching failed", made, EngineEventData(error=unreachable))
    instance.report_run_failed(made)
    assert run_cause.cause(instance, made.run_id) == "Could not reach user code server"


def test_a_run_that_was_given_up_says_at_least_that(instance: dg.DagsterInstance) -> None:
    made = dg.DagsterRun(job_name="some_backup", run_id="9a1b0000-0000-4000-8000-000000000002")
    instance.add_run(made)
    instance.report_run_failed(made, "Run timed out, password=hunter2 and anna@example.org")
    assert run_cause.cause(instance, made.run_id) == "Run timed out, password=*** and ***"


def test_a_run_without_any_event_is_said_to_have_none(instance: dg.DagsterInstance) -> None:
    assert run_cause.cause(instance, "no such run") == run_cause.UNKNOWN


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tags": {STANZA_TAG: "product"}}, Work("j", "product")),
        ({"run_config": {"stanza": "ops"}}, Work("j", "ops")),
        ({"run_config": {"request_id": "q-1"}}, Work("j", "", "q-1")),
        ({"run_config": {"stanza": "ops", "request_id": "q-1"}}, Work("j", "ops")),
        ({"asset_selection": frozenset({dg.AssetKey(["dr", "product", "latest"])})}, Work("j", "product")),
        (
            {"asset_selection": frozenset({dg.AssetKey(["dr", "product", "offsite", "pitr"])})},
            Work("j", "product@offsite"),
        ),
        (
            {
                "asset_selection": frozenset(
                    {dg.AssetKey(["dr", "product", "latest"]), dg.AssetKey(["dr", "ops", "latest"])}
                )
            },
            Work("j"),
        ),
        ({"asset_selection": frozenset({dg.AssetKey(["slo", "hourly_counts"])})}, Work("j")),
        ({}, Work("j")),
    ],
)
def test_what_a_run_is_for(given: Mapping[str, Any], expected: Work) -> None:
    assert sensors.work_of(dg.DagsterRun(job_name="j", run_id="r", **given)) == expected
