"""A real agent process for tests: started, scraped, signalled."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.clients.waiting import wait_until
from ops_platform.settings import Settings
from ops_platform_tests.ports import free_ports
from ops_platform_tests.web import WEB

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

COMMAND = [sys.executable, "-m", "ops_platform.agent"]
QUICK = {"OPS_HEARTBEAT_SECONDS": "0.5", "OPS_AGENT_REFRESH_SECONDS": "1", "OPS_SEAL_SECONDS": "1"}


@dataclass
class AgentProcess:
    """``python -m ops_platform.agent`` with the environment of ``settings`` and quick loops."""

    settings: Settings
    log_file: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_ports(1)[0])
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(COMMAND, env=self._environment(), stderr=log, stdout=log)
        wait_until(self._answers, 20, "the agent answers", interval=0.05)

    def run(self) -> tuple[int, str]:
        """Run one that is to end by itself: its exit code and what it said."""
        ended = subprocess.run(
            COMMAND, env=self._environment(), capture_output=True, text=True, timeout=30, check=False
        )
        return ended.returncode, ended.stdout + ended.stderr

    def _environment(self) -> dict[str, str]:
        values = {name: value.get_secret_value() for name, value in self.settings.environ.items()}
        return {**values, **QUICK, "OPS_AGENT_LISTEN_PORT": str(self.port), **self.environ}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return WEB.get(f"{self.url}/healthz", timeout=1).status_code in (200, 503)
        except httpx.TransportError:
            return False

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill -9, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> float:
        """SIGTERM; the seconds until it ended, which must be with code 0."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(20) == 0, self.log()
        return time.monotonic() - began

    def close(self) -> None:
        if self.is_running():
            self.kill()

    def metrics_text(self) -> str:
        return WEB.get(f"{self.url}/metrics", timeout=10).raise_for_status().text

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = WEB.get(f"{self.url}/healthz", timeout=5)
        return answer.status_code, answer.json()

    def scrape(self) -> Samples:
        """What Prometheus would get now."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.metrics_text())
            for sample in family.samples
        }

    def scrape_until(
        self, condition: Callable[[Samples], bool], what: str, timeout: float = 30, interval: float = 0.25
    ) -> Samples:
        def look() -> Samples | None:
            samples = self.scrape()
            return samples if condition(samples) else None

        return wait_until(look, timeout, what, interval=interval)

    def memory_kib(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")
