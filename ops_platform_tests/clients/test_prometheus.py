"""The Prometheus client on a real server of its own, and everything that can be wrong."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ops_platform.clients import prometheus_access
from ops_platform.clients.prometheus import Prometheus, Series
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.settings import load_settings
from ops_platform_tests.clients.guarded import Guard
from ops_platform_tests.ports import free_ports
from ops_platform_tests.prometheus import metric_names

CONFIGURATION = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: itself
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
  - job_name: nobody
    static_configs: [{targets: ["127.0.0.1:1"]}]
"""
RULES = """
groups:
  - name: g
    rules:
      - {record: "two", expr: "vector(2)"}
      - {alert: Always, expr: "vector(1)", labels: {severity: warning}}
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory, port = tmp_path_factory.mktemp("prometheus"), free_ports(1)[0]
    (directory / "prometheus.yml").write_text(CONFIGURATION.replace("PORT", str(port)))
    (directory / "rules.yml").write_text(RULES)
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
    ]
    client = Prometheus(f"http://127.0.0.1:{port}")
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(client.ready, 20, "Prometheus is ready")
            wait_until(lambda: client.query("two").series, 20, "a rule was evaluated")
            # Targets are found some seconds after the rules are.
            wait_until(lambda: len(client.query("up").series) == 2, 30, "both targets were scraped")
            yield client
        finally:
            client.close()
            process.kill()


@pytest.mark.services
def test_answers_of_every_type(prometheus: Prometheus) -> None:
    assert prometheus.query("1 + 1").series[0].value == 2
    by_job = {series.labels["job"]: series.value for series in prometheus.query("up").series}
    assert by_job == {"itself": 1, "nobody": 0}
    raw = wait_until(
        lambda: (
            (found := prometheus.query('up{job="itself"}[1m]').series[0]) and len(found.samples) > 1 and found
        ),
        20,
        "two samples",
    )
    assert isinstance(raw, Series)
    times = [at for at, _ in raw.samples]
    assert times == sorted(times)
    assert prometheus.query("up", at=datetime(2020, 1, 1, tzinfo=UTC)).series == ()


@pytest.mark.services
def test_targets_rules_alerts_and_names(prometheus: Prometheus) -> None:
    targets = {target.job: target for target in prometheus.targets()}
    assert targets["itself"].health == "up"
    assert "refused" in targets["nobody"].last_error
    rules = {rule.name: rule for rule in prometheus.rules()}
    assert (rules["two"].kind, rules["Always"].kind, rules["two"].health) == ("recording", "alerting", "ok")
    (alert,) = prometheus.alerts()
    assert (alert.labels["alertname"], alert.state) == ("Always", "firing")
    assert {"up", "two"} <= metric_names(prometheus)
    prometheus.reload()


@pytest.mark.services
def test_a_wrong_query_is_one_line(prometheus: Prometheus) -> None:
    with pytest.raises(
        Unavailable, match=r"^Prometheus refused POST /api/v1/query with 400: [^\n]*parse error[^\n]*$"
    ):
        prometheus.query("up{")


@pytest.mark.services
def test_behind_a_proxy_that_asks_for_a_token_and_a_tenant(prometheus: Prometheus, tmp_path: Path) -> None:
    guard = Guard({"Authorization": "Bearer t", "X-Scope-OrgID": "shop"}, upstream=prometheus.url)
    environ = {"OPS_STATE_DIR": str(tmp_path), "OPS_PROMETHEUS_TENANT": "shop"}
    with guard.running() as url:
        for token in ("t", "u"):
            settings = load_settings({**environ, "OPS_PROMETHEUS_BEARER_TOKEN": token})
            client = prometheus_access.connect(settings, url=url, timeout_seconds=10)
            if token == "t":
                assert len(client.query("up").series) == 2
                assert client.label_values("job", "up", until=datetime.now(UTC))[0] == ["itself", "nobody"]
            else:
                with pytest.raises(Unavailable, match="OPS_PROMETHEUS_BEARER_TOKEN"):
                    client.query("up")
            client.close()


def test_nobody_there_is_one_line() -> None:
    client = Prometheus(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert not client.ready()
    with pytest.raises(Unavailable, match=r"^cannot reach Prometheus at [^\n]*refused[^\n]*$"):
        client.targets()
    client.close()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"status": "error"}'])
def test_something_else_there_is_one_line(body: bytes) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        client = Prometheus(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(Unavailable, match=r"^Prometheus at [^\n]*is the URL right\?$"):
            client.query("up")
        client.close()


@pytest.mark.parametrize("url", ["http://[::1", "nonsense://x"])
def test_a_malformed_url_is_one_line(url: str) -> None:
    client = Prometheus(url)
    with pytest.raises(Unavailable, match=r"^[^\n]+$"):
        client.query("up")
    client.close()
