"""The API as it runs: a process, TLS, SIGTERM, its metrics, its silence about people."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.api.__main__ import open_connections, server
from ops_platform.api.service import open_service
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.api.house import EMAIL, House, problem
from ops_platform_tests.api.running import running_api
from ops_platform_tests.services import Services

pytestmark = pytest.mark.services


def test_over_tls_until_it_is_told_to_end(services: Services, api: House, tmp_path: Path) -> None:
    anna = api.person()
    with running_api(services, api, tmp_path / "api.log") as running, running.client() as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        made = client.post("/api/gdpr/request", json={"request_type": "export"}, headers=api.bearer(anna))
        assert made.status_code == 202, made.text
        request_id = made.json()["request_id"]
        token = api.table.token(request_id)
        assert f"{running.url}/api/gdpr/verify?lang=en#request={request_id}" in api.table.mails(request_id)[0]
        problem(client.post(f"/api/gdpr/verify/{request_id}", json={"token": "guess"}), 404, "not-found")
        assert client.post(f"/api/gdpr/verify/{request_id}", json={"token": token}).is_success
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url, trust_env=False)
        samples = {
            (sample.name, sample.labels.get("operation"), sample.labels.get("status")): sample.value
            for family in text_string_to_metric_families(httpx.get(running.metrics_url).text)
            for sample in family.samples
        }
        assert samples["gdpr_api_responses_total", "verify", "404"] == 1
        assert samples["gdpr_api_wrong_tokens_total", None, None] == 1
        client.close()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0
        log = running.log_file.read_text()
        for secret in (EMAIL, str(anna), request_id, token):
            assert secret not in log


def test_bytes_that_are_no_http_are_survived(services: Services, api: House, tmp_path: Path) -> None:
    with running_api(services, api, tmp_path / "api.log") as running, running.client() as client:
        port = int(running.url.rpartition(":")[2])
        for raw in (b"\x16\x03\x01" + b"\xff" * 500, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", port)) as plain:
                plain.sendall(raw)
        assert client.get("/healthz", headers={"X-Long": "x" * 7000}).is_success
        assert client.get("/healthz").is_success
        assert "Traceback" not in running.log_file.read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"OPS_JWT_ISSUER": ""}, "OPS_JWT_ISSUER"),
        ({"OPS_JWT_ALGORITHMS": "HS256"}, "OPS_JWT_ALGORITHMS"),
        ({"OPS_JWT_JWKS_URL": "https://x"}, "not both"),
        ({"OPS_API_URL": ""}, "OPS_API_URL"),
        ({"OPS_API_CERTIFICATE_FILE": "/nothing"}, "OPS_API_KEY_FILE"),
        ({"OPS_API_TRUSTED_PROXIES": "x"}, "OPS_API_TRUSTED_PROXIES"),
        ({"OPS_API_CONNECTIONS": "0"}, "OPS_API_CONNECTIONS"),
        ({"OPS_API_CONNECTIONS": "2000000000"}, "file descriptors"),
    ],
)
def test_wrong_settings_are_refused(api: House, changes: dict[str, str], said: str) -> None:
    settings = load_settings({**api.environ, **changes})
    with pytest.raises(ConfigurationError, match=said):
        _start(settings)


def _start(settings: Settings) -> None:
    service = open_service(settings)
    server(service, settings.api, open_connections(service, settings.api))


def test_a_wrong_setting_is_one_line(api: House) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ops_platform.api"],
        env={**api.environ, "OPS_JWT_AUDIENCE": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "OPS_JWT_AUDIENCE" in ended.stderr
