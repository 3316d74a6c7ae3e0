"""Retention: chatter goes, history stays, a killed pass is repeated harmlessly; old notifications go."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.defs.housekeeping.jobs import retention_cleanup
from ops_platform.defs.resources import PlatformResource
from ops_platform.housekeeping import retention
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import OpsDatabase

NOW = datetime.now(UTC)
KEEP = timedelta(days=90)


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="measured")])
def measured(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    context.log.info("chatter")
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="sound")])


@pytest.fixture
def instance(ops_database: OpsDatabase, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    url = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    storage = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))["storage"]
    storage["custom"]["config"]["postgres_url"] = url
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage}), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


@pytest.fixture
def connections(ops_database: OpsDatabase) -> Iterator[tuple[Connection, Connection]]:
    storage = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    dagster, ops = retention.open_connections(storage, ops_database.url("ops_worker"))
    with dagster, ops:
        yield dagster, ops


def age(connection: Connection, run_id: str, days: int) -> None:
    connection.execute(
        "UPDATE event_logs SET timestamp = timestamp - make_interval(days => %s) WHERE run_id = %s",
        (days, run_id),
    )


def types(connection: Connection, run_id: str) -> list[str | None]:
    rows = connection.execute(
        "SELECT dagster_event_type AS t FROM event_logs WHERE run_id = %s ORDER BY id", (run_id,)
    ).fetchall()
    return [row["t"] for row in rows]


@pytest.mark.services
def test_chatter_goes_and_history_stays(
    instance: dg.DagsterInstance, connections: tuple[Connection, Connection]
) -> None:
    dagster, ops = connections
    old = dg.materialize([measured], instance=instance).run_id
    young = dg.materialize([measured], instance=instance).run_id
    age(dagster, old, 91)
    before_old, before_young = types(dagster, old), types(dagster, young)

    pruned = retention.prune_event_log(dagster, ops, KEEP, NOW, print)

    after = types(dagster, old)
    assert None in before_old  # there was chatter to delete
    assert pruned.deleted == len(before_old) - len(after) > 0
    assert not {None, *retention.CHATTER} & set(after)
    assert [t for t in before_old if t is not None and t not in retention.CHATTER] == after
    assert types(dagster, young) == before_young
    # What the UI and the auditors ask for is still answered.
    assert len(instance.fetch_materializations(dg.AssetKey("measured"), limit=10).records) == 2
    stats = instance.get_run_stats(old)
    assert (stats.materializations, stats.steps_succeeded) == (1, 1)
    check = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("measured"), "sound"), limit=10
    )
    assert len(check) == 2


@pytest.mark.services
def test_the_next_pass_starts_where_all_was_old(
    instance: dg.DagsterInstance, connections: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster, ops = connections
    monkeypatch.setattr(retention, "_WINDOW", 5)
    first = dg.materialize([measured], instance=instance).run_id
    second = dg.materialize([measured], instance=instance).run_id
    age(dagster, first, 91)
    once = retention.prune_event_log(dagster, ops, KEEP, NOW, print)
    again = retention.prune_event_log(dagster, ops, KEEP, NOW, print)
    last_of_first = max(
        row["id"]
        for row in dagster.execute("SELECT id FROM event_logs WHERE run_id = %s", (first,)).fetchall()
    )

    assert again.deleted == 0
    assert once.up_to_id == again.up_to_id
    assert last_of_first - 5 <= again.up_to_id <= last_of_first + 5

    age(dagster, second, 91)
    third = retention.prune_event_log(dagster, ops, KEEP, NOW, print)
    assert third.deleted > 0
    assert None not in types(dagster, second)


@pytest.mark.services
def test_a_pass_killed_before_the_mark_is_repeated(
    instance: dg.DagsterInstance, connections: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster, ops = connections
    run_id = dg.materialize([measured], instance=instance).run_id
    age(dagster, run_id, 91)

    def die(connection: Connection, mark: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_set_mark", die)
        with pytest.raises(KeyboardInterrupt):
            retention.prune_event_log(dagster, ops, KEEP, NOW, print)
    left = types(dagster, run_id)
    repeated = retention.prune_event_log(dagster, ops, KEEP, NOW, print)

    assert repeated.deleted == 0
    assert types(dagster, run_id) == left


@pytest.mark.services
def test_the_worker_may_not_rewrite_history(ops_database: OpsDatabase) -> None:
    with (
        postgres.session(ops_database.url("ops_worker")) as worker,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        worker.execute("DELETE FROM retention_marks")


@pytest.fixture
def delivered(ops_database: OpsDatabase) -> Iterator[Callable[..., int]]:
    """A notification that came so many days ago; its id."""
    with postgres.connect(ops_database.url("ops_owner"), autocommit=True) as owner:

        def deliver(alertname: str, days_ago: float, status: str = "firing") -> int:
            row = owner.execute(
                "INSERT INTO alert_deliveries (received_at, status, alertname, fingerprint)"
                " VALUES (%s, %s, %s, 'f') RETURNING id",
                (NOW - timedelta(days=days_ago), status, alertname),
            ).fetchone()
            assert row is not None
            return int(row["id"])

        yield deliver


def kept_deliveries(connection: Connection) -> set[int]:
    return {row["id"] for row in connection.execute("SELECT id FROM alert_deliveries").fetchall()}


def prune_deliveries(connection: Connection) -> int:
    return retention.prune_alert_deliveries(connection, timedelta(days=400), timedelta(days=7), NOW)


@pytest.mark.services
def test_alerts_stay_a_year_and_the_watchdog_a_week(
    connections: tuple[Connection, Connection],
    delivered: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, ops = connections
    monkeypatch.setattr(retention, "_BATCH", 2)
    kept = {
        delivered("RunFailed", 399.9),
        delivered("RunFailed", 8),
        delivered("Watchdog", 6.9),
        delivered("Watchdog", 0),
    }
    old = [delivered("RunFailed", 400.1), delivered("RunFailed", 500, "resolved")]
    old += [delivered("Watchdog", days) for days in (7.1, 8, 9, 401)]

    assert prune_deliveries(ops) == len(old)
    assert kept_deliveries(ops) == kept
    assert prune_deliveries(ops) == 0


@pytest.mark.services
def test_the_newest_watchdog_stays_so_that_its_age_still_alarms(
    connections: tuple[Connection, Connection], delivered: Callable[..., int]
) -> None:
    _, ops = connections
    delivered("Watchdog", 30)
    newest = delivered("Watchdog", 20)
    delivered("Watchdog", 19, "resolved")

    assert prune_deliveries(ops) == 2
    assert kept_deliveries(ops) == {newest}


@pytest.mark.services
def test_requests_that_ended_a_month_ago_keep_no_address(
    connections: tuple[Connection, Connection], ops_database: OpsDatabase
) -> None:
    _, ops = connections
    ended = {"fulfilled": "completed", "cancelled": "failed", "expired": "failed", "error": "failed"}
    with ops_database.superuser() as owner:
        for outcome, status in ended.items():
            for days in (29, 31):
                owner.execute(
                    "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, "
                    "status, outcome, used_token, completed_at) "
                    "VALUES (%s, gen_random_uuid(), 'export', 'a@b.example', %s, %s, 'x', %s)",
                    (f"{outcome}-{days}", status, outcome, NOW - timedelta(days=days)),
                )

    def kept() -> set[str]:
        rows = ops.execute("SELECT request_id FROM gdpr_requests WHERE requestor_email <> ''").fetchall()
        return {row["request_id"] for row in rows}

    assert retention.forget_addresses(ops, timedelta(days=30), NOW) == 3
    assert kept() == {f"{outcome}-29" for outcome in ended} | {"error-31"}
    assert retention.forget_addresses(ops, timedelta(days=30), NOW) == 0


class Known(PlatformResource):
    """The platform of one test."""

    values: dict[str, str]

    def settings(self) -> Settings:
        return load_settings(self.values)


@pytest.mark.services
def test_the_job_does_all_of_it_with_the_rights_of_its_role(
    instance: dg.DagsterInstance, ops_database: OpsDatabase, delivered: Callable[..., int], tmp_path: Path
) -> None:
    delivered("RunFailed", 401)
    storage = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    values = {
        "OPS_STATE_DIR": str(tmp_path),
        "OPS_DATABASE_URL": ops_database.url("ops_worker"),
        "OPS_DAGSTER_STORAGE_URL": storage,
    }
    done = retention_cleanup.execute_in_process(
        instance=instance, resources={"platform": Known(values=values)}
    )
    assert done.success
    (output,) = [one for one in done.all_events if one.event_type_value == "STEP_OUTPUT"]
    metadata = {name: one.value for name, one in output.step_output_data.metadata.items()}
    assert metadata["alert_deliveries_deleted"] == 1
    assert set(metadata) == {
        "event_log_rows_deleted",
        "looked_at_up_to_id",
        "runs_of_checks_deleted",
        "alert_deliveries_deleted",
        "requests_emptied_of_addresses",
        "mails_deleted",
        "sign_ins_deleted",
    }


@pytest.mark.services
def test_mails_go_after_a_month_but_for_letters_of_an_erasure_that_is_not_over(
    connections: tuple[Connection, Connection], ops_database: OpsDatabase
) -> None:
    _, ops = connections
    requests = {"open": ("processing", None), "resumable": ("failed", "error"), "done": ("completed", None)}
    with ops_database.superuser() as owner:
        for name, (status, outcome) in requests.items():
            owner.execute(
                "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, status, "
                "outcome) VALUES (%s, gen_random_uuid(), 'erasure', '', %s, %s)",
                (name, status, outcome),
            )
        for name, completed in (("by-hand", None), ("done", NOW)):
            owner.execute(
                "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, "
                "erased_at, gdpr_request_id, completed_at) "
                "VALUES ('product', 'creator', %s, 'text', %s, %s, %s)",
                (name, NOW, name, completed),
            )
        for request_id in (*requests, "by-hand"):
            for column, days in (("sent_at", 29), ("sent_at", 31), ("given_up_at", 31)):
                owner.execute(
                    f"INSERT INTO mail_outbox (dedup_key, {column}) VALUES (%s, %s)",
                    (f"gdpr-processor:{request_id}:x:{column}-{days}", NOW - timedelta(days=days)),
                )
        owner.execute("INSERT INTO mail_outbox (dedup_key, sent_at) VALUES ('other', '2020-01-01')")
        owner.execute(
            "INSERT INTO mail_outbox (dedup_key, recipient, subject, body, created_at) "
            "VALUES ('waiting', 'a', 'b', 'c', '2020-01-01')"
        )

    assert retention.prune_mails(ops, timedelta(days=30), NOW) == 3
    rows = ops.execute("SELECT split_part(dedup_key, ':', 2) AS of, dedup_key FROM mail_outbox").fetchall()
    assert [row["dedup_key"] for row in rows if row["of"] in ("", "done")] == [
        "gdpr-processor:done:x:sent_at-29",
        "waiting",
    ]
    assert len(rows) == 2 + 3 * 3
    assert retention.prune_mails(ops, timedelta(days=30), NOW) == 0
