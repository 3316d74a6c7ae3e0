"""The agent as a process beside real PostgreSQL and S3: what it shows, and what it survives."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ops_platform import files
from ops_platform.agent.loops import wal_hours
from ops_platform.agent.metrics import METRICS
from ops_platform.backup.monitoring.observation import Observer, observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.proof import rolling
from ops_platform.backup.stanza import locks
from ops_platform.backup.taking import report_store as records
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise import exercise_store as exercise_records
from ops_platform.dr.exercise.report import ExerciseRequest, Outcome
from ops_platform.dr.inspection.check_result import passed
from ops_platform.errors import Unavailable
from ops_platform.gdpr.requests import lifecycle as requests
from ops_platform.gdpr.requests.deadlines import VERIFY_WITHIN
from ops_platform.slo.objectives import alert_rules as rules
from ops_platform.slo.objectives import openslo
from ops_platform.slo.reporting import figures
from ops_platform_tests.agent.process import AgentProcess, Samples
from ops_platform_tests.agent.scene import Scene
from ops_platform_tests.agent.test_deliveries import body
from ops_platform_tests.clients.mail.test_smtp import Sink
from ops_platform_tests.gdpr.requests_database import requests_of
from ops_platform_tests.web import WEB

pytestmark = pytest.mark.services

OBJECTIVES = files.default_config_dir() / "objectives"
SAME_AFTER_A_RESTART = (
    "backup_duration_ms",
    "backup_size_bytes",
    "backup_last_success_timestamp_seconds",
    "backup_sets",
    "backup_runs_total",
    "backup_last_run_failed",
    "backup_wal_gap_segments",
    "backup_repository_encrypted",
    "backup_damaged_sets",
    "backup_incomplete_sets",
    "backup_freshness_limit_seconds",
    "backup_rpo_target_seconds",
    "certificate_expiry_timestamp_seconds",
    "ops_database_up",
)


def chosen(samples: Samples) -> Samples:
    return {key: value for key, value in samples.items() if key[0] in SAME_AFTER_A_RESTART}


def test_a_new_agent_tells_the_truth_at_its_first_scrape(scene: Scene, agent: AgentProcess) -> None:
    report = scene.backup("incremental")
    before = agent.scrape_until(
        lambda samples: (
            samples.get(("backup_sets", scene.kind("incremental"))) == 1
            and samples.get(("backup_runs_total", (*scene.kind("incremental"), ("status", "completed")))) == 1
        ),
        "the new set is shown",
    )
    stopped_at = report.backup_set.completed_at.timestamp()
    assert before[("backup_last_success_timestamp_seconds", scene.kind("incremental"))] == stopped_at
    assert before[("backup_duration_ms", scene.kind("incremental"))] == report.duration_ms
    assert before[("backup_size_bytes", scene.kind("incremental"))] == report.backup_set.size_bytes
    agent.kill()
    agent.start()
    began = time.monotonic()
    after = agent.scrape()
    assert time.monotonic() - began < 6
    assert chosen(after) == chosen(before)
    assert {name for name, _ in chosen(after)} == set(SAME_AFTER_A_RESTART)
    grown = after[("backup_rpo_seconds", scene.stanza)] - before[("backup_rpo_seconds", scene.stanza)]
    assert -60 < grown < 20


def test_the_rpo_is_what_the_command_line_says(scene: Scene, agent: AgentProcess) -> None:
    wait_until(
        lambda: (
            abs(
                agent.scrape()[("backup_rpo_seconds", scene.stanza)]
                - stanza_status(scene.context)["rpo_seconds"]
            )
            < 2
        ),
        30,
        "agent and command line agree on the RPO",
    )


def an_exercise(stanza: str) -> tuple[ExerciseRequest, Outcome]:
    """A good one of the scenario that also predicts."""
    request = ExerciseRequest("manual", stanza, "performance", "exercise", "exercise", 1_800_000, 900_000)
    predicted = passed("predicted_rto", "soon", predicted_seconds=12.5)
    outcome = Outcome("success", datetime.now(UTC), rto_ms=4000, rpo_ms=5000, verifications=(predicted,))
    return request, outcome


def keep_figures(scene: Scene) -> None:
    """Of one objective, up to the last full hour: of the last day known, of longer ones not."""
    [one] = [one for one in openslo.load_directory(OBJECTIVES) if one.id == "api-availability"]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [figures.Hour(now - timedelta(hours=number), 999, 1000) for number in range(24, 0, -1)]
    with postgres.session(scene.database.url("ops_worker")) as ops:
        figures.store(ops, one, figures.figures(one, hours, [now]), "run")


def make_requests(scene: Scene) -> None:
    """Of data subjects: one of each type that is confirmed and done."""
    with requests_of(scene.database) as table:
        for request_type in requests.REQUEST_TYPES:
            made = table.make(request_type=request_type)
            table.verify(made.request.request_id, table.token(made.request.request_id))
            table.claim(made.request.request_id, "processing")
            table.worker.execute(
                "UPDATE gdpr_requests SET status = 'completed', completed_at = now() WHERE request_id = %s",
                (made.request.request_id,),
            )


def look_at_terms(scene: Scene) -> None:
    """As a run of retention does; the default data map has no terms."""
    with postgres.session(scene.database.url("ops_worker")) as ops:
        ops.execute(
            "INSERT INTO gdpr_retention_looks (stanza, table_name, term, action, changed, due, held, "
            "overdue, looked_at) VALUES (%s, 'sessions', 'P1Y', 'delete', 0, 0, 0, 0, now())",
            (scene.product.name,),
        )


def test_every_metric_can_be_seen_in_a_live_scrape(scene: Scene, agent: AgentProcess) -> None:
    keep_figures(scene)
    make_requests(scene)
    look_at_terms(scene)
    rolling.run(scene.context, print)
    for alert in (body(labels={"alertname": "Watchdog"}, fingerprint="w"), body()):
        WEB.post(f"{agent.url}/alerts", json=alert).raise_for_status()
    worker = scene.database.url("ops_worker")
    run = BackupRequest(scene.product.name, "incremental", "run", "run", "cli")
    # Whoever holds the lock is alive: its report is not reconciled. An open transaction holds seals back.
    with (
        locks.stanza_lock(worker, scene.product.name, 5, print),
        postgres.session(worker) as opener,
        postgres.session(worker) as writer,
    ):
        writer.execute("SELECT pg_current_xact_id()")
        records.open_report(opener, run)
        # As the job audit_verification does when it found nothing.
        opener.execute(
            "INSERT INTO audit_verifications (started_at, since, findings, events) VALUES (now(), 0, 0, 0)"
        )
        exercise_records.finish(opener, *an_exercise(scene.product.name))
        opener.commit()
        # Dagster's are seen on the running stack (test_live_metrics).
        wanted = {name for name in METRICS if not name.startswith("dagster_")}
        missing = set(wanted)

        def all_seen(samples: Samples) -> bool:
            missing.intersection_update(wanted - {name for name, _ in samples})
            return wanted <= {name for name, _ in samples}

        try:
            agent.scrape_until(all_seen, "every metric")
        except Unavailable:
            raise AssertionError(f"never seen: {missing}; {agent.log()[-2000:]}") from None
        records.fail(opener, run, "ended by the test")
    agent.scrape_until(lambda samples: samples[("audit_unsealed_events", ())] == 0, "all events are sealed")


def test_a_notification_is_recorded_once(scene: Scene, agent: AgentProcess) -> None:
    alert = body(fingerprint="feedfeedfeedfeed")
    answers = [WEB.post(f"{agent.url}/alerts", json=alert).json() for _ in range(2)]
    assert answers == [{"recorded": 1}, {"recorded": 0}]
    assert WEB.post(f"{agent.url}/alerts", json={"alerts": []}).json() == {"recorded": 0}


def test_an_alert_of_an_objective_marks_its_newest_figures(scene: Scene, agent: AgentProcess) -> None:
    keep_figures(scene)

    def fired() -> list[bool]:
        with postgres.session(scene.database.url("ops_worker")) as ops:
            rows = ops.execute("SELECT alert_fired FROM slo_metrics ORDER BY id").fetchall()
        return [row["alert_fired"] for row in rows]

    def deliver(number: int, alertname: str = rules.FAST, **labels: str) -> None:
        alert = body(fingerprint=str(number) * 16, labels={"alertname": alertname, **labels})
        WEB.post(f"{agent.url}/alerts", json=alert).raise_for_status()

    ours = {"service": "api", "slo": "availability"}
    deliver(1, service="api", slo="another", sloth_id="api-another")
    deliver(2, service="platform", slo="availability", sloth_id="platform-availability")
    deliver(3, service="api", sloth_id="api-availability")
    # Not of the budget, or not of this objective's.
    deliver(4, "SloFiguresStale", **ours, sloth_id="api-availability")
    deliver(5, **ours)
    deliver(6, **ours, sloth_id="another")
    assert fired() == [False] * 4
    deliver(7, **ours, sloth_id="api-availability")
    assert fired() == [True] * 4
    # Made anew, the figures still say so.
    keep_figures(scene)
    assert fired() == [True] * 4


def test_nothing_secret_leaves_the_agent(scene: Scene, agent: AgentProcess) -> None:
    shown = agent.metrics_text() + agent.log() + str(agent.health())
    secrets = [path.read_text(encoding="utf-8").strip() for path in scene.product.secrets.directory.iterdir()]
    secrets += [scene.services.object_store().secret_access_key("backup")]
    assert all(secret not in shown for secret in secrets if len(secret) > 8)
    assert "passfile" not in shown


def test_a_run_that_died_is_reconciled(scene: Scene, agent: AgentProcess) -> None:
    agent.kill()
    dead = BackupRequest(scene.product.name, "differential", "dead-run", "dead-run", "dagster")
    with postgres.session(scene.database.url("ops_worker")) as connection:
        records.open_report(connection, dead)
    agent.start()
    samples = agent.scrape_until(
        lambda samples: samples.get(("backup_last_run_failed", scene.kind("differential"))) == 1, "reconciled"
    )
    assert samples[("backup_runs_total", (*scene.kind("differential"), ("status", "failed")))] == 1


def test_without_the_ops_database_the_rpo_stays_true(scene: Scene, agent: AgentProcess) -> None:
    scene.ops.stop()
    try:
        stopped_at = datetime.now(UTC)
        agent.scrape_until(
            lambda samples: (
                samples.get(("ops_database_up", ())) == 0
                and samples[("audit_known", ())] == 0
                and not any(name in ("backup_runs_total", "slo_state") for name, _ in samples)
            ),
            "the ops database is shown as away and its facts are dropped",
        )
        assert WEB.post(f"{agent.url}/alerts", json=body(fingerprint="0" * 16)).status_code == 503
        # Heartbeats go on, and the archive reaches those that no database knows of yet.
        switched_at = scene.switch_wal()
        agent.scrape_until(
            lambda samples: (
                time.time() - samples[("backup_rpo_seconds", scene.stanza)] > stopped_at.timestamp()
            ),
            "the RPO follows beats written meanwhile",
        )
        assert agent.health()[0] == 200
        assert agent.terminate() < 5
        agent.start()
        blind = agent.scrape()
        assert blind[("ops_database_up", ())] == 0
        assert blind[("backup_database_up", scene.stanza)] == 1
        assert "cannot connect" in agent.health()[1]["loops"]["observe"]["reason"]
    finally:
        scene.ops.start()
    agent.scrape_until(
        lambda samples: (
            samples.get(("ops_database_up", ())) == 1 and ("backup_rpo_seconds", scene.stanza) in samples
        ),
        "all is known again",
        timeout=60,
    )
    assert switched_at > stopped_at


def test_beats_that_waited_for_the_ops_database_are_remembered(scene: Scene, agent: AgentProcess) -> None:
    scene.ops.stop()
    stopped_at = datetime.now(UTC)
    try:
        wait_until(lambda: datetime.now(UTC) - stopped_at > timedelta(seconds=3), 10, "some beats")
    finally:
        back_at = datetime.now(UTC)
        scene.ops.start()

    def remembered() -> bool:
        with postgres.session(scene.database.url("ops_worker")) as connection:
            rows = connection.execute(
                "SELECT count(*) AS n FROM heartbeat_positions WHERE beat_at BETWEEN %s AND %s",
                (stopped_at, back_at),
            ).fetchall()
        return bool(rows[0]["n"] >= 4)

    wait_until(remembered, 60, "the positions of the beats", interval=0.5)


def test_without_the_product_the_rpo_grows(scene: Scene, agent: AgentProcess) -> None:
    scene.product.kill()
    killed_at = time.time()
    try:
        first = agent.scrape_until(
            lambda samples: samples.get(("backup_database_up", scene.stanza)) == 0,
            "the server is shown as away",
        )
        beat = first[("backup_heartbeat_timestamp_seconds", scene.stanza)]
        assert beat <= killed_at
        # What the archiver still had in its hands may arrive; nothing newer than the server's end can.
        later = agent.scrape_until(lambda _samples: time.time() - killed_at > 4, "time goes by")
        assert later[("backup_heartbeat_timestamp_seconds", scene.stanza)] == beat
        assert later[("backup_rpo_seconds", scene.stanza)] >= 4
        assert later[("backup_wal_gap_segments", scene.stanza)] == 0
        assert ("backup_archive_failing", scene.stanza) not in later
    finally:
        scene.product.start()
    agent.scrape_until(
        lambda samples: samples[("backup_heartbeat_timestamp_seconds", scene.stanza)] > beat,
        "beats again",
        timeout=60,
    )


@pytest.mark.full
def test_without_s3_the_rpo_grows_and_catches_up(scene: Scene, agent: AgentProcess) -> None:
    scene.services.kill_object_store()
    killed_at = time.time()
    try:
        away = agent.scrape_until(
            lambda samples: (
                samples.get(("backup_repository_up", scene.stanza)) == 0
                and ("backup_wal_gap_segments", scene.stanza) not in samples
            ),
            "the repository is shown as away and what it held as unknown",
        )
        assert away[("backup_rpo_known", scene.stanza)] == 1
        assert time.time() - away[("backup_rpo_seconds", scene.stanza)] < killed_at + 1
        scene.switch_wal()
        assert agent.health()[0] == 200
    finally:
        scene.services.restart_object_store()
    # The whole archive is looked at by a loop of its own.
    back = agent.scrape_until(
        lambda samples: (
            time.time() - samples[("backup_rpo_seconds", scene.stanza)] > killed_at
            and samples.get(("backup_wal_gap_segments", scene.stanza)) == 0
        ),
        "the archive catches up",
        timeout=90,
    )
    assert back[("backup_repository_up", scene.stanza)] == 1


def test_a_kept_observer_says_what_a_new_one_says(scene: Scene, agent: AgentProcess) -> None:
    kept = Observer(scene.context)
    kept.look()

    def agree() -> bool:
        # The archive may grow between the two looks.
        seen, found = observe(scene.context), kept.look(names_age=3600)
        assert seen.best is not None
        assert found.best is not None
        assert found.best[1].history == seen.best[1].history
        return found.best == seen.best and found.from_oldest == seen.from_oldest

    wait_until(agree, 30, "both looks see the same end")


def test_an_hour_of_the_archive_is_recorded_as_it_was(scene: Scene, agent: AgentProcess) -> None:
    seen = observe(scene.context)
    assert seen.archive is not None
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    for _ in range(2):
        with postgres.session(scene.database.url("ops_agent")) as connection:
            for one in (hour, hour + timedelta(hours=1)):
                wal_hours.record(connection, scene.product.name, seen.repository, seen.archive, one)
    with postgres.session(scene.database.url("ops_worker")) as connection:
        rows = connection.execute(
            "SELECT wal_segments, size_bytes, wal_lag_seconds FROM backup_reports"
            " WHERE kind = 'wal_archive' ORDER BY id"
        ).fetchall()
    assert len(rows) == 2
    assert sum(row["wal_segments"] for row in rows) == len(seen.archive.segments)
    assert sum(row["size_bytes"] for row in rows) == sum(one.size for one in seen.archive.segments)
    assert rows[1]["wal_lag_seconds"] is not None


def test_a_segment_that_somebody_deleted_is_a_gap_and_stops_the_recovery_point(
    scene: Scene, agent: AgentProcess
) -> None:
    lost = scene.backup("incremental").backup_set.wal_start
    store = scene.services.object_store()
    client, bucket = store.client("backup"), store.bucket("backup")
    found = client.list_objects_v2(Bucket=bucket, Prefix=f"pgbackrest/archive/{scene.product.name}/")[
        "Contents"
    ]
    deleted_at = time.time()
    for item in found:
        if lost in item["Key"]:
            client.delete_object(Bucket=bucket, Key=item["Key"])
    scene.switch_wal()
    holed = agent.scrape_until(
        lambda samples: (
            samples.get(("backup_wal_gap_segments", scene.stanza)) == 1
            and time.time() - samples[("backup_rpo_seconds", scene.stanza)] < deleted_at
        ),
        "the gap is shown, and the RPO no longer gets better",
    )
    assert holed[("backup_repository_up", scene.stanza)] == 1
    scene.switch_wal()
    scene.backup("full")
    scene.switch_wal()
    agent.scrape_until(
        lambda samples: time.time() - samples[("backup_rpo_seconds", scene.stanza)] > deleted_at,
        "a full beyond the gap makes new moments recoverable",
    )
    assert agent.scrape()[("backup_wal_gap_segments", scene.stanza)] == 1


def test_sigterm_ends_it_within_seconds(scene: Scene, agent: AgentProcess) -> None:
    assert agent.terminate() < 5


def test_a_taken_port_is_one_line_and_exit_code_2(scene: Scene, agent: AgentProcess) -> None:
    second = AgentProcess(agent.settings, agent.log_file, port=agent.port)
    assert second.run() == (
        2,
        f"error: cannot listen on 127.0.0.1:{agent.port}: Address already in use; "
        "free it or set OPS_AGENT_LISTEN_PORT\n",
    )


def test_a_wrong_configuration_is_one_line_and_exit_code_2(scene: Scene, agent: AgentProcess) -> None:
    broken = AgentProcess(agent.settings, agent.log_file, {"OPS_HEARTBEAT_SECONDS": "often"})
    assert broken.run() == (2, "error: OPS_HEARTBEAT_SECONDS must be a number, not 'often'\n")


def test_it_sends_the_mail_of_the_outbox_and_expires_requests(scene: Scene, agent: AgentProcess) -> None:
    past = datetime.now(UTC) - VERIFY_WITHIN
    with Sink(port=scene.mail_port) as sink, postgres.session(scene.database.url("ops_api")) as api:
        late = requests.submit(
            api, uuid4(), "export", email="a@example.org", language="en", api_url="https://x", now=past
        ).request
        outbox.put(api, "live", "b@example.org", "Hello", "Body", now=datetime.now(UTC))
        api.commit()
        wait_until(lambda: sink.handler.kept, 20, "the mail arrives")
        assert [message["Subject"] for message in sink.handler.kept] == ["Hello"], "the other one is too old"
    agent.kill()
    agent.start()

    def outcome() -> bool:
        with postgres.session(scene.database.url("ops_worker")) as worker:
            row = worker.execute(
                "SELECT outcome FROM gdpr_requests WHERE request_id = %s", (late.request_id,)
            ).fetchone()
        return row is not None and row["outcome"] == "expired"

    wait_until(outcome, 20, "the request expires")
