"""The demo product's traffic service as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.clients.waiting import wait_until
from ops_platform_tests.web import WEB

RATE = 60


@dataclass
class Service:
    process: subprocess.Popen[str]
    url: str
    log: Path

    def value(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that carry the labels."""
        text = WEB.get(f"{self.url}/metrics").raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def wait_for(self, name: str, above: float, seconds: float = 20, **labels: str) -> float:
        wait_until(
            lambda: self.value(name, **labels) > above,
            seconds,
            f"{name}{labels} above {above}",
            hint=self.log.read_text(encoding="utf-8")[-500:],
        )
        return self.value(name, **labels)


def environment(database_url: str, port: int, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "OPS_STATE_DIR": "/nonexistent",
        "OPS_DATABASE_URL": "unused",
        "OPS_PRODUCT_DATABASE_URL": database_url,
        "OPS_TRAFFIC_LISTEN_PORT": str(port),
        "OPS_TRAFFIC_RATE": str(RATE),
        **more,
    }


@contextmanager
def running(values: Mapping[str, str], log: Path) -> Iterator[Service]:
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops_platform.local.demo.traffic"], env=values, stderr=stderr, text=True
        )
    service = Service(process, f"http://127.0.0.1:{values['OPS_TRAFFIC_LISTEN_PORT']}", log)
    try:
        wait_until(lambda: _answers(service), 20, "the traffic service answers")
        yield service
    finally:
        process.kill()
        process.wait()


def _answers(service: Service) -> bool:
    try:
        return WEB.get(f"{service.url}/healthz").is_success
    except httpx.HTTPError:
        return False
