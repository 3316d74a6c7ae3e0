"""``python -m ops_platform.api`` as a process, over TLS."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ops_platform.clients.waiting import wait_until
from ops_platform.local.host.accounts import account
from ops_platform_tests.api.house import House
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import Services


@dataclass(frozen=True)
class RunningApi:
    url: str
    metrics_url: str
    ca_file: Path
    log_file: Path
    process: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        return httpx.Client(base_url=self.url, verify=trust, trust_env=False)


@contextmanager
def running_api(services: Services, house: House, log_file: Path, **environ: str) -> Iterator[RunningApi]:
    port, metrics_port = free_ports(2)
    pair = services.certificates.server("api", account(None))
    ca_file = services.certificates.ca_file
    url = f"https://127.0.0.1:{port}"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops_platform.api"],
            env={
                **house.environ,
                **environ,
                "OPS_API_URL": url,
                "OPS_API_LISTEN_PORT": str(port),
                "OPS_API_METRICS_LISTEN_PORT": str(metrics_port),
                "OPS_API_CERTIFICATE_FILE": str(pair.certificate),
                "OPS_API_KEY_FILE": str(pair.key),
            },
            stderr=log,
            stdout=log,
        )
    running = RunningApi(url, f"http://127.0.0.1:{metrics_port}/metrics", ca_file, log_file, process)

    def answers() -> bool:
        assert process.poll() is None, log_file.read_text()
        try:
            with running.client() as client:
                return client.get("/healthz").is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, 30, "the API answers")
        yield running
    finally:
        process.kill()
        process.wait()
