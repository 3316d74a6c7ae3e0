"""The load test in its short form: a product that answers a known number a second, and too many users."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops_platform import files
from ops_platform.cli import cli
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.local.demo import load
from ops_platform.local.demo.activity import Request, requests
from ops_platform.local.demo.failure_modes import Control
from ops_platform.local.demo.load.load_step import measured, reading
from ops_platform.local.demo.product_metrics import TrafficMetrics
from ops_platform.local.demo.traffic import __main__ as traffic
from ops_platform.local.demo.traffic.backlog import Backlog
from ops_platform.local.demo.traffic.control_http import serving
from ops_platform.slo.objectives import openslo
from ops_platform_tests.ports import free_ports
from ops_platform_tests.web import WEB

OBJECTIVES = openslo.load_directory(files.default_config_dir() / "objectives")
CAPACITY = 500.0


class SlowDatabase:
    """Writes CAPACITY requests a second, and nothing else."""

    connected = True

    def write(self, rows: Sequence[tuple[Request, bool, bool]]) -> Counter[str]:
        time.sleep(len(rows) / CAPACITY)
        return Counter(posts=len(rows))

    def close(self) -> None:
        pass


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The traffic service with a database of a known pace, and users of little patience."""
    monkeypatch.setattr(traffic, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(traffic, "BATCH", 20)
    monkeypatch.setattr(traffic, "Backlog", lambda: Backlog(0.5))
    monkeypatch.setattr("ops_platform.local.demo.load.saturation.SETTLE_SECONDS", 0.8)
    control, metrics = Control(), TrafficMetrics()
    control.change({"api_error_ratio": 0, "publishing_error_ratio": 0, "publishing_slow_ratio": 0})
    served = traffic.Traffic("", rate=4.0, seed=1, control=control, metrics=metrics)
    served._writer = SlowDatabase()  # type: ignore[assignment]
    stop = threading.Event()
    thread = threading.Thread(target=served.run, args=(stop,))
    with serving("127.0.0.1", 0, metrics.registry, control) as port:
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop.set()
            thread.join()


@pytest.mark.services
def test_the_point_where_objectives_break_lies_beyond_what_the_product_bears(product: str) -> None:
    seen: list[load.Step] = []
    plan = load.Plan(100, 16, 3, 0.6)
    steps = load.run(product, 4.0, plan, OBJECTIVES, seen.append)
    # 100 are answered, 1,600 are not, and then nothing more is asked.
    assert [step.asked for step in steps] == [100, 1600]
    assert seen == steps
    calm, flooded = steps
    assert calm.errors == 0
    assert calm.p99 is not None
    assert flooded.errors is not None
    assert flooded.errors > Fraction(1, 2)
    assert flooded.served < CAPACITY * 1.3
    assert flooded.p50 is not None
    assert flooded.p50 > calm.p99
    found = {limit.objective: limit for limit in load.limits(steps, OBJECTIVES)}
    for name in ("api-availability", "publishing-success"):
        assert found[name].broke_at == 1600, found
        assert flooded.outcomes[name].burn(Fraction(99, 100)) > 10  # type: ignore[operator]
    assert found["webhooks-signatures"].broke_at is None
    # It is as it was.
    assert WEB.get(f"{product}/control").json()["traffic_factor"] == 1


def test_without_the_product_it_says_what_to_do(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(Unavailable, match="ops-platform up traffic"):
        load.run(address, 4.0, load.Plan(1, 2, 1, 1), OBJECTIVES, print)
    with pytest.raises(ConfigurationError, match="40000 at most"):
        load.run(address, 4.0, load.Plan(50, 10, 9, 1), OBJECTIVES, print)


def test_a_step_is_counted_by_the_objectives_own_selectors() -> None:
    metrics = TrafficMetrics()

    def read() -> Any:
        from prometheus_client import generate_latest

        return reading(generate_latest(metrics.registry).decode())

    before = read()
    for code, number in (("200", 90), ("404", 6), ("503", 4)):
        metrics.responses.labels("GET", "/feed", code).inc(number)
    for seconds in (0.004, 0.004, 0.004, 70.0):
        metrics.response_seconds.observe(seconds)
    for seconds in (1.0, 10.0, 10.5):
        metrics.publishing_seconds.observe(seconds)
    step = measured(10, 5, before, read(), OBJECTIVES)
    assert (step.answered, step.errors, step.served) == (20, Fraction(4, 100), 19.2)
    assert step.p50 == pytest.approx(0.005 * 2 / 3)
    assert step.p99 == float("inf")
    api = step.outcomes["api-availability"]
    assert (api.good, api.total) == (96, 100)
    assert api.burn(Fraction(999, 1000)) == 40
    latency = step.outcomes["publishing-latency"]
    assert (latency.good, latency.total) == (2, 3)
    # Nothing happened: neither held nor broken, and no burn.
    assert step.outcomes["media-transcoding"].holds(Fraction(1, 2)) is None
    written = load.as_json([step], OBJECTIVES)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["steps"][0]["p99_seconds"] is None
    later = replace(step, asked=20)
    [limit] = [one for one in load.limits([later], OBJECTIVES) if one.objective == "api-availability"]
    assert (limit.held_at, limit.broke_at) == (None, 20)


@pytest.mark.services
def test_the_command_shows_steps_and_where_each_breaks(product: str) -> None:
    port = product.rpartition(":")[2]
    environment = {"OPS_TRAFFIC_LISTEN_PORT": port, "OPS_TRAFFIC_RATE": "4"}
    given = ["load", "--from", "40", "--steps", "1", "--seconds", "0.5"]
    shown = CliRunner().invoke(cli, given, env=environment)
    assert shown.exit_code == 0, shown.output
    for text in (
        "40 requests/s",
        "webhooks-signatures",
        "not in these steps",
        "slo exclusion add --service api",
    ):
        assert text in shown.output


def test_who_waits_too_long_leaves_in_the_order_of_coming() -> None:
    stream = requests(1)
    backlog = Backlog(5.0)
    for second in (0.0, 1.0, 2.0):
        backlog.add([next(stream), next(stream)], second)
    assert [waiting.since for waiting in backlog.next(1)] == [0.0]
    assert [waiting.since for waiting in backlog.given_up(6.5)] == [0.0, 1.0, 1.0]
    assert [waiting.since for waiting in backlog.next(500)] == [2.0, 2.0]
    assert backlog.given_up(100.0) == []
