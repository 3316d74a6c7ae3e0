"""Sensors start one run for each request, jobs carry it out, and Dagster never learns who it was about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from ops_platform.clients.postgres import Connection
from ops_platform.definitions import build_defs
from ops_platform.defs.gdpr.assets import ERASURES, EXPORTS
from ops_platform.defs.gdpr.sensors import REQUEST_TAG, gdpr_erasure_requests, gdpr_export_requests
from ops_platform.defs.resources import PlatformResource
from ops_platform.gdpr.data_map import DataMap, Period, RetentionTerm
from ops_platform.gdpr.requests import work_queue as work
from ops_platform.gdpr.schema import Name
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.gdpr.erasure_scene import Scene
from ops_platform_tests.gdpr.requests_database import Requests

pytestmark = pytest.mark.services


DELIVERIES = Name("public", "webhook_deliveries")


class Known(PlatformResource):
    """The platform of one test."""

    values: dict[str, str]

    def settings(self) -> Settings:
        return load_settings(self.values)


def known(settings: Settings) -> Known:
    return Known(values={name: value.get_secret_value() for name, value in settings.environ.items()})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(
    instance: dg.DagsterInstance, platform: Known, sensor: dg.SensorDefinition = gdpr_erasure_requests
) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance, resources={"platform": platform})
    asked: Any = sensor(context)
    return [one for one in asked if isinstance(one, dg.RunRequest)]


def job(platform: Known, name: str = "gdpr_erasure") -> dg.JobDefinition:
    return build_defs(platform.settings(), {"platform": platform}).resolve_job_def(name)


def verified(table: Requests, at: datetime) -> str:
    request_id = table.make(now=at).request.request_id
    table.verify(request_id, table.token(request_id), now=at)
    return request_id


def performances(connection: Connection, duty: str) -> list[int]:
    """The findings of each performance of a duty that is on record, the oldest first."""
    rows = connection.execute(
        "SELECT details FROM audit_events WHERE object = %s AND action = 'duty.performed' ORDER BY id",
        (f"duty/{duty}",),
    ).fetchall()
    return [row["details"]["findings"] for row in rows]


@pytest.fixture
def platform(table: Requests, tmp_path: object) -> Known:
    return Known(
        values={"OPS_STATE_DIR": str(tmp_path), "OPS_DATABASE_URL": table.database.url("ops_worker")}
    )


def test_one_run_for_each_request_the_oldest_deadline_first(
    table: Requests, platform: Known, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    newer, older = verified(table, now), verified(table, now - timedelta(hours=9))
    table.make(now=now)
    asked = tick(instance, platform)
    assert [(one.run_key, one.run_config, one.tags[REQUEST_TAG]) for one in asked] == [
        (f"{request_id}:1", {"request_id": request_id}, request_id) for request_id in (older, newer)
    ]
    assert [one.run_key for one in tick(instance, platform)] == [one.run_key for one in asked]
    assert tick(instance, platform, gdpr_export_requests) == []
    assert table.row(older)["attempts"] == 0, "a sensor only reads"


def test_a_run_that_died_anywhere_is_followed_by_another(
    table: Requests, platform: Known, instance: dg.DagsterInstance
) -> None:
    request_id = verified(table, datetime.now(UTC))
    definition = job(platform)

    def run(status: dg.DagsterRunStatus) -> dg.DagsterRun:
        return instance.create_run_for_job(
            definition,
            status=status,
            tags={REQUEST_TAG: request_id},
            run_config={"request_id": request_id},
        )

    run(dg.DagsterRunStatus.FAILURE)  # before its claim
    assert [one.run_key for one in tick(instance, platform)] == [f"{request_id}:2"]
    started = run(dg.DagsterRunStatus.STARTED)
    assert tick(instance, platform) == [], "it is on its way to its claim"
    with pytest.raises(RuntimeError):
        dies_at_work(instance, platform, request_id, started.run_id)
    assert tick(instance, platform) == [], "its pause is not over"
    table.worker.execute("UPDATE gdpr_requests SET next_attempt_at = NULL")
    # Dagster believes in it until its longest runtime is over; the claim says that it is dead.
    assert [one.run_key for one in tick(instance, platform)] == [f"{request_id}:3"]


def dies_at_work(instance: dg.DagsterInstance, platform: Known, request_id: str, run_id: str) -> None:
    url = platform.values["OPS_DATABASE_URL"]
    with work.claimed(url, request_id, "erasure", run_id, lambda: datetime.now(UTC)):
        assert tick(instance, platform) == [], "it is at work"
        raise RuntimeError


def test_a_run_erases_and_tells_the_auditor_without_the_person(
    place: Scene, instance: dg.DagsterInstance
) -> None:
    platform, request_id = known(place.settings), place.request()
    [asked] = tick(instance, platform)
    definition = job(platform)
    done = definition.execute_in_process(run_config=asked.run_config, tags=asked.tags, instance=instance)
    assert done.success
    assert place.requests.row(request_id)["run_id"] == done.run_id
    [event] = done.asset_materializations_for_node("erase")
    assert event.asset_key == ERASURES
    assert event.metadata["request_id"].value == request_id
    assert event.metadata["objects"].value == 3
    assert "| s3 | media/creators/{id}/ |" in str(event.metadata["effects"].value)
    assert tick(instance, platform) == []

    again = definition.execute_in_process(run_config=asked.run_config, instance=instance)
    assert again.success
    [repeated] = again.asset_materializations_for_node("erase")
    assert repeated.metadata["certificate_id"] == event.metadata["certificate_id"]
    assert place.ops_count("gdpr_certificates") == 1

    logged = "\n".join(str(entry) for run in (done, again) for entry in instance.all_logs(run.run_id))
    for value in place.identity.values.values():
        assert len(str(value)) < 5 or str(value) not in logged


def test_a_run_that_fails_says_why_in_a_line_and_the_request_waits(
    place: Scene, instance: dg.DagsterInstance
) -> None:
    with place.product.owner() as owner:
        owner.execute("ALTER TABLE profiles ADD COLUMN shoe_size text")
    platform, request_id = known(place.settings), place.request()
    failed = job(platform).execute_in_process(
        run_config={"request_id": request_id}, instance=instance, raise_on_error=False
    )
    assert not failed.success
    [event] = [one for one in failed.all_events if one.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert "profiles.shoe_size" in str(failure.description)
    assert place.requests.row(request_id)["failure"] == failure.description


def test_a_database_error_does_not_quote_the_row(place: Scene, instance: dg.DagsterInstance) -> None:
    """PostgreSQL's DETAIL holds values; of a foreign error only its type is told."""
    with place.product.cluster.superuser(place.product.name) as superuser:
        superuser.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'not %', OLD.email USING ERRCODE = 'P0001'; END $$"
        )
        superuser.execute(
            "CREATE TRIGGER refuse BEFORE DELETE ON creators FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    platform, request_id = known(place.settings), place.request()
    failed = job(platform).execute_in_process(
        run_config={"request_id": request_id}, instance=instance, raise_on_error=False
    )
    assert not failed.success
    logged = "\n".join(str(entry) for entry in instance.all_logs(failed.run_id))
    assert "step: rows" in logged
    assert str(place.identity.values["email"]) not in logged
    assert str(place.identity.values["email"]) not in str(place.requests.row(request_id)["failure"])


def test_an_export_is_made_and_completed(place: Scene, instance: dg.DagsterInstance) -> None:
    platform = Known(values={**known(place.settings).values, "OPS_API_URL": "https://privacy.example.org"})
    request_id = place.requests.make(place.who, "export").request.request_id
    place.requests.verify(request_id, place.requests.token(request_id))
    [asked] = tick(instance, platform, gdpr_export_requests)
    done = job(platform, "gdpr_export").execute_in_process(
        run_config=asked.run_config, tags=asked.tags, instance=instance
    )
    assert done.success
    assert place.requests.row(request_id)["status"] == "completed"
    [event] = done.asset_materializations_for_node("export_data")
    assert event.asset_key == EXPORTS
    assert int(str(event.metadata["rows_found"].value)) > 10
    assert sum(1 for _ in place.exports.list(f"{request_id}/")) == 1
    # An erasure leaves the promised copy until its time is over, and then no copy.
    erasure = place.request()
    erase = job(platform)
    assert erase.execute_in_process(run_config={"request_id": erasure}, instance=instance).success
    assert sum(1 for _ in place.exports.versions(f"{request_id}/")) == 1
    place.requests.connection.execute(
        "INSERT INTO gdpr_downloads (request_id, at, url_expires_at, event_id) "
        "SELECT %s, verified_at + interval '1 second', verified_at, %s "
        "FROM gdpr_requests WHERE request_id = %s",
        (request_id, uuid4(), erasure),
    )
    assert erase.execute_in_process(run_config={"request_id": erasure}, instance=instance).success
    assert sum(1 for _ in place.exports.versions(f"{request_id}/")) == 0


def test_the_review_fails_when_somebody_must_look(
    table: Requests, platform: Known, instance: dg.DagsterInstance
) -> None:
    definition = job(platform, "gdpr_pending_review")
    verified(table, datetime.now(UTC) - timedelta(hours=1))
    assert definition.execute_in_process(instance=instance).success
    late = verified(table, datetime.now(UTC) - timedelta(hours=80))
    failed = definition.execute_in_process(instance=instance, raise_on_error=False)
    [event] = [one for one in failed.all_events if one.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert f"erasure {late} is overdue" in str(failure.description)
    assert late in str(failure.metadata["waiting"].value)
    # Each look is on record, for the calendar of duties; one with findings, too.
    assert performances(table.worker, "request_review") == [0, 1]


def test_the_report_goes_into_the_ledger(
    table: Requests, platform: Known, instance: dg.DagsterInstance
) -> None:
    done = job(platform, "compliance_report").execute_in_process(instance=instance)
    assert done.success
    rows = table.worker.execute("SELECT details FROM audit_events WHERE action = 'gdpr.report'").fetchall()
    assert [one["details"]["findings"] for one in rows] == [[]]


def test_the_data_audit_runs_on_the_product(place: Scene, instance: dg.DagsterInstance) -> None:
    definition = job(known(place.settings), "data_audit")
    assert definition.execute_in_process(instance=instance).success
    with place.product.owner() as owner:
        owner.execute("ALTER TABLE profiles ADD COLUMN shoe_size text")
    assert not definition.execute_in_process(instance=instance, raise_on_error=False).success
    looks = performances(place.requests.worker, "data_audit")
    assert (len(looks), looks[0]) == (2, 0)
    assert looks[1] > 0


class WithTerm(Known):
    """The platform with a term for one table of the demo, all of whose rows are older."""

    def data_map(self) -> DataMap:
        loaded = super().data_map()
        deliveries = loaded.tables[DELIVERIES]
        with_term = replace(deliveries, term=RetentionTerm(Period(days=1), "delivered_at"))
        return replace(loaded, tables={**loaded.tables, DELIVERIES: with_term})


def test_retention_takes_what_has_a_term_and_does_nothing_where_no_table_has_one(
    place: Scene, instance: dg.DagsterInstance
) -> None:
    before = place.product.digest()
    platform = known(place.settings)
    assert job(platform, "gdpr_retention").execute_in_process(instance=instance).success
    assert place.product.digest() == before
    done = job(WithTerm(values=platform.values), "gdpr_retention").execute_in_process(instance=instance)
    assert done.success
    after = place.product.digest()
    assert after.pop("webhook_deliveries").startswith("(0,")
    del before["webhook_deliveries"]
    assert after == before
