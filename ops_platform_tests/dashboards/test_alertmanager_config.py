"""Alertmanager's configuration: valid, routed as meant, and inhibiting exactly what it should."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops_platform.clients.alertmanager import Alert, Alertmanager
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.local.servers.alertmanager_server import AlertmanagerServer
from ops_platform.local.servers.prometheus_server import PrometheusServer
from ops_platform_tests.ports import free_ports

TARGETS = {
    "AGENT_URL": "http://127.0.0.1:1",
    "SMTP_SMARTHOST": "127.0.0.1:1",
    "SMTP_FROM": "alertmanager@localhost",
    "SMTP_REQUIRE_TLS": "false",
    "ALERT_EMAIL": "on-call@localhost",
}
SCRAPED = ("ALERTMANAGER_TARGET", "AGENT_TARGET", "API_TARGET", "PRODUCT_TARGET", "OBJECT_STORE_TARGET")


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> AlertmanagerServer:
    server = AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), free_ports(1)[0], TARGETS)
    server.prepare()
    return server


def amtool(*arguments: str) -> str:
    ended = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.services
def test_amtool_accepts_it(configured: AlertmanagerServer) -> None:
    assert "SUCCESS" in amtool("check-config", str(configured.config_file))


@pytest.mark.services
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=Watchdog", "severity=warning"], "watchdog"),
        (["alertname=RpoCritical", "severity=critical"], "on-call"),
        (["alertname=BackupFailed", "severity=warning"], "tickets"),
        (["alertname=Whatever"], "tickets"),
    ],
)
def test_routes(configured: AlertmanagerServer, labels: list[str], receiver: str) -> None:
    said = amtool("config", "routes", "test", f"--config.file={configured.config_file}", *labels)
    assert said.strip() == receiver


@pytest.mark.services
def test_promtool_accepts_the_configuration_of_prometheus(tmp_path: Path) -> None:
    server = PrometheusServer(tmp_path, free_ports(1)[0], dict.fromkeys(SCRAPED, "127.0.0.1:1"))
    server.prepare()
    ended = subprocess.run(
        ["promtool", "check", "config", str(server.config_file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(server.config_files()) - 1} rule files found" in ended.stdout


@pytest.fixture(scope="module")
def running(configured: AlertmanagerServer) -> Iterator[Alertmanager]:
    log = (configured.data_dir / "log").open("wb")
    with log, subprocess.Popen(configured.command(), stdout=log, stderr=log) as process:
        client = Alertmanager(configured.url)
        try:
            wait_until(client.ready, 20, "Alertmanager is ready")
            yield client
        finally:
            client.close()
            process.kill()


def alert(name: str, severity: str, /, **labels: str) -> Alert:
    return Alert(
        {"alertname": name, "severity": severity, "service": "publishing", **labels}, {"summary": name}
    )


@pytest.mark.services
def test_inhibition(running: Alertmanager) -> None:
    posted = [
        alert("Burn", "critical", slo="latency"),
        alert("Burn", "warning", slo="latency"),
        alert("Burn", "warning", slo="success"),
        # Without an objective on either side, nothing may be silenced.
        alert("BackupSetDamaged", "critical"),
        alert("BackupFailed", "warning"),
        alert("RpoCritical", "critical", stanza="product"),
        alert("RpoWarning", "warning", stanza="product"),
        alert("RpoWarning", "warning", stanza="ops"),
        alert("DutyOverdue", "critical", name="cleanup", stanza="product"),
        alert("DutyOverdue", "warning", name="cleanup", stanza="product"),
        alert("DutyOverdue", "warning", name="cleanup", stanza="ops"),
        alert("DutyOverdue", "warning", name="restore_test", stanza="product"),
        alert("CertificateExpired", "critical", certificate="s3", source="file"),
        alert("CertificateExpiring", "warning", certificate="s3", source="file"),
        alert("CertificateExpiring", "warning", certificate="s3", source="endpoint"),
    ]
    running.post(posted)

    def silenced() -> set[tuple[str, str, str]] | None:
        held = running.alerts()
        if len(held) < len(posted) or any(one.state == "unprocessed" for one in held):
            return None
        return {
            (
                one.labels["alertname"],
                one.labels["severity"],
                " ".join(one.labels[label] for label in ("slo", "name", "stanza") if label in one.labels),
            )
            for one in held
            if one.state == "suppressed" and one.inhibited_by
        } or None

    # An alert is looked at when its group is flushed, the first time after group_wait (30 s at most).
    expected = {
        ("Burn", "warning", "latency"),
        ("RpoWarning", "warning", "product"),
        ("DutyOverdue", "warning", "cleanup product"),
        ("CertificateExpiring", "warning", ""),
    }
    assert (
        wait_until(lambda: (found := silenced()) is not None and len(found) >= 4 and found, 45, "inhibition")
        == expected
    )
    (burning,) = running.alerts(['alertname="Burn"', 'severity="critical"'])
    assert (burning.receivers, burning.state, burning.annotations) == (
        ("on-call",),
        "active",
        {"summary": "Burn"},
    )


@pytest.mark.services
def test_an_alert_that_has_ended_is_no_longer_held(running: Alertmanager) -> None:
    now = datetime.now(UTC)
    running.post(
        [Alert({"alertname": "Test"}, starts_at=now - timedelta(minutes=5), generator_url="http://run/1")]
    )
    assert [held.labels["alertname"] for held in running.alerts(['alertname="Test"'])] == ["Test"]
    running.post(
        [
            Alert(
                {"alertname": "Test"},
                starts_at=now - timedelta(minutes=5),
                ends_at=now - timedelta(seconds=1),
            )
        ]
    )
    wait_until(lambda: not running.alerts(['alertname="Test"']), 10, "it is resolved")


@pytest.mark.services
def test_what_alertmanager_refuses_is_one_line(running: Alertmanager) -> None:
    with pytest.raises(Unavailable, match=r"^Alertmanager refused POST /api/v2/alerts with 400: [^\n]+$"):
        running.post([Alert({})])


def test_no_alertmanager_is_one_line() -> None:
    port = free_ports(1)[0]
    client = Alertmanager(f"http://127.0.0.1:{port}/")
    assert not client.ready()
    with pytest.raises(Unavailable, match=f"^cannot reach Alertmanager at http://127.0.0.1:{port}: [^\n]+$"):
        client.alerts()
    client.close()
