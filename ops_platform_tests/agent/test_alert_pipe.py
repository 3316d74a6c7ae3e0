"""From a broken server to the mail: real Prometheus with the real rules, Alertmanager, mail sink, agent."""

from __future__ import annotations

import mailbox
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops_platform.clients.alertmanager import Alertmanager
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.housekeeping.alert_delivery import DeliveryTest, Outcome
from ops_platform.local.servers import mail_sink
from ops_platform.local.servers.alertmanager_server import AlertmanagerServer
from ops_platform.local.servers.prometheus_server import PrometheusServer
from ops_platform_tests.agent.process import AgentProcess
from ops_platform_tests.agent.scene import Scene
from ops_platform_tests.ports import free_ports

pytestmark = pytest.mark.full

RPO_TARGET_SECONDS = 30
"""Instead of 15 minutes: nothing else of the alert is changed but the clocks of the servers."""


@dataclass(frozen=True)
class Pipe:
    scene: Scene
    agent: AgentProcess
    mail: Path
    alertmanager: str
    sink: subprocess.Popen[Any]

    def delivered(self, alertname: str) -> set[tuple[str, str]]:
        """(receiver, status) of what the agent recorded."""
        with postgres.session(self.scene.database.url("ops_worker")) as connection:
            rows = connection.execute(
                "SELECT DISTINCT receiver, status FROM alert_deliveries WHERE alertname = %s", (alertname,)
            ).fetchall()
        return {(row["receiver"], row["status"]) for row in rows}

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in mailbox.Maildir(self.mail, create=False)]


def sharpen(path: Path, pattern: str, replacement: str) -> None:
    """Shorten a clock in a rendered configuration, which must be there."""
    text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"))
    assert count, f"{pattern} is not in {path.name}"
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def pipe(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    directory = tmp_path_factory.mktemp("pipe")
    prometheus_port, alertmanager_port, mail_port = free_ports(3)
    settings = scene.services.settings_for(
        scene.product,
        database=scene.database,
        role="ops_agent",
        stanza={"rpo_target_seconds": RPO_TARGET_SECONDS},
    )
    agent = AgentProcess(settings, directory / "agent.log")
    alertmanager = AlertmanagerServer(
        directory / "alertmanager",
        alertmanager_port,
        {
            "AGENT_URL": agent.url,
            "SMTP_SMARTHOST": f"127.0.0.1:{mail_port}",
            "SMTP_FROM": "alertmanager@localhost",
            "SMTP_REQUIRE_TLS": "false",
            "ALERT_EMAIL": "on-call@localhost",
        },
    )
    prometheus = PrometheusServer(
        directory / "prometheus",
        prometheus_port,
        {
            "ALERTMANAGER_TARGET": f"127.0.0.1:{alertmanager_port}",
            "AGENT_TARGET": f"127.0.0.1:{agent.port}",
            "API_TARGET": "127.0.0.1:1",
            "PRODUCT_TARGET": "127.0.0.1:1",
            "OBJECT_STORE_TARGET": "127.0.0.1:1",
        },
    )
    alertmanager.prepare()
    sharpen(alertmanager.config_file, r"group_wait: \d+s", "group_wait: 0s")
    sharpen(alertmanager.config_file, r"group_interval: 1m", "group_interval: 1s")
    prometheus.prepare()
    sharpen(prometheus.config_file, r"(scrape|evaluation)_interval: 15s", r"\1_interval: 1s")
    sharpen(prometheus.config_file, r"scrape_timeout: 10s", "scrape_timeout: 1s")
    sink = [sys.executable, "-m", "ops_platform.local.servers.mail_sink", f"--port={mail_port}"]
    processes: list[subprocess.Popen[Any]] = []
    with ExitStack() as started:
        log = started.enter_context((directory / "log").open("wb"))
        for command in (
            [*sink, f"--maildir={directory / 'mail'}"],
            alertmanager.command(),
            prometheus.command(),
        ):
            process: subprocess.Popen[Any] = subprocess.Popen(command, stdout=log, stderr=log)
            processes.append(process)
            started.callback(process.wait)
            started.callback(process.kill)
        agent.start()
        started.callback(agent.close)
        wait_until(
            lambda: alertmanager.is_ready() and prometheus.is_ready() and mail_sink.is_ready(mail_port),
            30,
            "the pipe",
        )
        yield Pipe(scene, agent, directory / "mail", alertmanager.url, processes[0])


def test_a_broken_promise_reaches_webhook_and_mail_and_its_end_too(pipe: Pipe) -> None:
    scene = pipe.scene
    # Prometheus drops what fires before it has found Alertmanager, and sends it again after a minute.
    wait_until(
        lambda: ("watchdog", "firing") in pipe.delivered("Watchdog"),
        120,
        "the Watchdog arrives",
        interval=0.5,
    )
    scene.switch_wal()
    pipe.agent.scrape_until(
        lambda samples: samples.get(("backup_rpo_seconds", scene.stanza), 99) < RPO_TARGET_SECONDS,
        "the promise is kept",
    )
    scene.product.kill()
    try:
        wait_until(
            lambda: ("on-call", "firing") in pipe.delivered("RpoCritical"),
            90,
            "the webhook gets the page",
            interval=0.5,
        )
        wait_until(
            lambda: any(re.search(r"FIRING.*RpoCritical", subject) for subject in pipe.subjects()),
            30,
            "the page by mail",
        )
    finally:
        scene.product.start()
    pipe.agent.scrape_until(
        lambda samples: (
            samples[("backup_heartbeat_timestamp_seconds", scene.stanza)] > 0
            and samples.get(("backup_database_up", scene.stanza)) == 1
        ),
        "the server is back",
        timeout=60,
    )
    wait_until(
        lambda: scene.switch_wal() and ("on-call", "resolved") in pipe.delivered("RpoCritical"),
        90,
        "the webhook hears of the end",
        interval=2,
    )
    wait_until(
        lambda: any(re.search(r"RESOLVED.*RpoCritical", subject) for subject in pipe.subjects()),
        30,
        "and the mail",
    )
    assert not any("Watchdog" in subject for subject in pipe.subjects())
    samples = pipe.agent.scrape_until(
        lambda samples: ("alert_watchdog_timestamp_seconds", ()) in samples, "the metric of the Watchdog"
    )
    assert samples[("alert_notifications_last_day", (("severity", "critical"), ("status", "firing")))] >= 1


def follow(pipe: Pipe, number: str, mail: Path | None, seconds: float) -> Outcome:
    client = Alertmanager(pipe.alertmanager)
    try:
        with postgres.session(pipe.scene.database.url("ops_worker")) as ops:
            return DeliveryTest(client, ops, number, mail, seconds, lambda line: None).run()
    finally:
        client.close()


EVERY_WAY = {
    ("on-call", "webhook", "critical"),
    ("on-call", "email", "critical"),
    ("tickets", "webhook", "warning"),
    ("tickets", "email", "warning"),
}


@pytest.mark.parametrize("with_maildir", [True, False])
def test_a_test_alert_is_followed_to_every_receiver(pipe: Pipe, with_maildir: bool) -> None:
    """Without a Maildir, Alertmanager's word that it handed the mail over is what there is."""
    outcome = follow(pipe, f"good-{with_maildir}", pipe.mail if with_maildir else None, 60)
    assert outcome.faults == []
    assert {(way.receiver, way.integration, way.severity) for way in outcome.paths} == EVERY_WAY
    assert {(str(way), status) for way, status in outcome.seconds} == {
        (f"{receiver} by {integration}", status)
        for receiver, integration, _ in EVERY_WAY
        for status in ("firing", "resolved")
    }


def test_mail_that_does_not_arrive_fails_the_test(pipe: Pipe) -> None:
    """Last: afterwards the mail server is away."""
    pipe.sink.kill()
    pipe.sink.wait()
    outcome = follow(pipe, "away", pipe.mail, 12)
    assert {fault.partition(":")[0] for fault in outcome.faults} == {"on-call by email", "tickets by email"}
    assert {way.integration for way, _ in outcome.seconds} == {"webhook"}
    # Nor does Alertmanager say that it handed it over.
    assert {fault.partition(":")[0] for fault in follow(pipe, "counted", None, 12).faults} == {
        "on-call by email",
        "tickets by email",
    }
