"""Probes of endpoints: right, wrong, late, gone; and an objective that tells these from not having asked."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ops_platform import files
from ops_platform.agent.loops.loop_registry import LoopRegistry
from ops_platform.agent.metrics.synthetic import SyntheticMetrics
from ops_platform.agent.probes.endpoint_answer import RESULTS, Prober
from ops_platform.agent.probes.endpoint_list import Probe, ProbeList, load
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings, load_settings
from ops_platform.slo.objectives import Indicator, openslo
from ops_platform_tests.slo.counting.stored import BASE, EDGES, SECONDS, STEP, TIMES, counted, stored

DOCS = Path(__file__).parents[3] / "docs"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/late":
            time.sleep(0.5)
        if self.path == "/headers":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
            for _ in range(40):
                self.wfile.write(b".")
                time.sleep(0.05)
            return
        self.send_response({"/500": 500, "/301": 301}.get(self.path, 200))
        if self.path == "/drip":
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b".")
                time.sleep(0.05)
            return
        body = b'{"status":"ok"}'
        self.send_header("Location", "/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """One that was given up."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        {
            "OPS_CONFIG_DIR": str(tmp_path),
            "OPS_STATE_DIR": str(tmp_path),
            "OPS_API_URL": "https://api.example",
        }
    )


def test_each_answer_is_told_apart_in_one_round(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    wanted = {
        "right": (Probe(name="right", url=url, contains='"ok"'), "ok"),
        "moved": (Probe(name="moved", url=f"{url}/301", status=301), "ok"),
        "broken": (Probe(name="broken", url=f"{url}/500"), "wrong_status"),
        "followed": (Probe(name="followed", url=f"{url}/301"), "wrong_status"),
        "other": (Probe(name="other", url=url, contains="maintenance"), "wrong_body"),
        "late": (Probe(name="late", url=f"{url}/late", timeout_seconds=0.2), "timeout"),
        "drip": (Probe(name="drip", url=f"{url}/drip", timeout_seconds=0.3), "timeout"),
        "headers": (Probe(name="headers", url=f"{url}/headers", timeout_seconds=0.3), "timeout"),
        "gone": (Probe(name="gone", url=f"http://127.0.0.1:{port}"), "unreachable"),
        "nowhere": (Probe(name="nowhere", url="http://nowhere.invalid"), "unreachable"),
    }
    found: dict[str, str] = {}
    taken: dict[str, float] = {}

    def told(probe: Probe, result: str, seconds: float) -> None:
        found[probe.name], taken[probe.name] = result, seconds

    began = time.monotonic()
    Prober().ask(tuple(probe for probe, _ in wanted.values()), told)
    assert found == {name: result for name, (_, result) in wanted.items()}
    # Byte by byte it would take two seconds.
    assert taken["headers"] < 1.5
    assert time.monotonic() - began < 5
    Prober(Path("/no/such/file")).ask((), lambda *_: None)


def test_a_file_that_becomes_wrong_is_missed_at_once(tmp_path: Path) -> None:
    (tmp_path / "backups.yaml").write_bytes((files.default_config_dir() / "backups.yaml").read_bytes())
    environment = {"OPS_CONFIG_DIR": str(tmp_path), "OPS_DATABASE_URL": "postgresql:///"}
    registry = LoopRegistry(load_settings(environment))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    file = tmp_path / "probes.yaml"
    file.write_text(f"probes: [{{name: front, url: 'http://127.0.0.1:{port}'}}]")
    step = registry._probe().step

    def missed() -> float:
        samples = registry.state.synthetic.samples(0)
        return sum(sample.value for sample in samples if sample.name == "synthetic_probes_missed_total")

    step()
    assert missed() == 0
    file.write_text("probes: [{name: front}]")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            step()
        # The second time is the same round, tried again.
        assert missed() == 1
    registry.close()


def test_a_round_that_fails_is_missed_once_however_often_it_is_tried() -> None:
    metrics, probe = SyntheticMetrics(15), Probe(name="front", url="https://shop.example")
    metrics.begin([probe], -15)
    # As a loop waits that fails: rounds were due at 0, 15, 30, 45 and 60.
    for at in (0, 1, 3, 7, 15, 31, 61):
        metrics.skip(at)
    metrics.begin([probe], 75)
    [missed] = [one.value for one in metrics.samples(0) if one.name == "synthetic_probes_missed_total"]
    assert missed == 5


def test_rounds_that_were_left_out_are_counted_and_counters_begin_with_zero() -> None:
    metrics, probe = SyntheticMetrics(15), Probe(name="front", url="https://shop.example")

    def sampled() -> dict[tuple[str, ...], float]:
        return {(sample.name, *sample.labels): sample.value for sample in metrics.samples(0)}

    assert sampled() == {}
    for at in (0.0, 15.0, 33.0, 49.0):
        metrics.begin([probe], at)
    assert {sampled()["synthetic_probes_total", "front", result] for result in RESULTS} == {0}
    assert sampled()["synthetic_probes_missed_total", "front"] == 0
    metrics.begin([probe], 49.0 + 60)
    assert sampled()["synthetic_probes_missed_total", "front"] == 3
    metrics.put(probe, "timeout", 5.0)
    assert sampled()["synthetic_probes_total", "front", "timeout"] == 1
    assert sampled()["synthetic_probe_seconds", "front"] == 5.0
    metrics.begin([], 124.0)
    assert sampled() == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("probes: [{name: a, url: 'ftp://x'}]", "must be http"),
        ("probes: [{name: a, url: 'https://me:pw@x'}]", "without user and password"),
        ("probes: [{name: a, url: 'https://[x'}]", "must be http"),
        ("probes: [{name: A b, url: 'https://x'}]", "probes.0.name"),
        ("probes: [{name: a, url: 'https://x', status: 99}]", "probes.0.status"),
        ("probes: [{name: a, url: 'https://x', timeout_seconds: 0}]", "probes.0.timeout_seconds"),
        ("probes: [{name: a, url: 'https://x', every: 5}]", "is not known here"),
        ("probes: [{name: a, url: 'https://x'}, {name: a, url: 'https://y'}]", "two probes a"),
        ("probes: [{name: a, url: 'https://${NOWHERE}'}]", "NOWHERE is not set"),
        ("endpoints: []", "probes"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(text: str, word: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "probes.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        ProbeList(settings).probes()
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_the_file_may_come_change_and_go(tmp_path: Path, settings: Settings) -> None:
    listed, file = ProbeList(settings), tmp_path / "probes.yaml"
    assert listed.probes() == ()
    file.write_text("probes: [{name: a, url: 'https://x'}]")
    assert [probe.name for probe in listed.probes()] == ["a"]
    assert listed.probes() is listed.probes()
    file.write_text("probes: [{name: bb, url: 'https://x'}]")
    assert [probe.name for probe in listed.probes()] == ["bb"]
    file.unlink()
    assert listed.probes() == ()


def test_the_documents_examples_work_and_tell_wrong_from_not_asked(
    tmp_path: Path, settings: Settings
) -> None:
    text = (DOCS / "slo.md").read_text(encoding="utf-8").partition("## Synthetic monitoring")[2]
    probes, objective = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[:2]
    (tmp_path / "probes.yaml").write_text(probes)
    loaded = load(tmp_path / "probes.yaml", settings)
    assert [probe.name for probe in loaded] == ["shop-front", "gdpr-api", "old-address"]
    assert loaded[1].url == "https://api.example/readyz"
    directory = tmp_path / "objectives"
    directory.mkdir()
    (directory / "front.yaml").write_text(objective)
    [one] = openslo.load_directory(directory)
    assert isinstance(one.indicator, Indicator)

    target = {"job": "agent", "instance": "a:1"}
    rounds = SECONDS // 15
    # The second hour: wrong answers for twenty minutes. The third: the agent is away for as long.
    wrong = np.clip((TIMES - EDGES[1] - 600_000) // STEP, 0, 80)
    away = (EDGES[2] + 600_000 < TIMES) & (EDGES[2] + 1_800_000 >= TIMES)
    there = TIMES[~away]
    series = [
        stored("up", np.where(away, 0, 1), TIMES, **target),
        stored("process_start_time_seconds", BASE // 1000 - 99, there, **target),
        stored(
            "synthetic_probes_total",
            (rounds - wrong)[~away],
            there,
            probe="shop-front",
            result="ok",
            **target,
        ),
        stored("synthetic_probes_total", wrong[~away], there, probe="shop-front", result="timeout", **target),
    ]
    first, second, third = counted(one.indicator, *series)
    assert (first.state, first.total, first.bad) == ("ok", 240, 0)
    assert (second.state, second.total, second.bad) == ("ok", 240, 80)
    assert third.state == "bounded"
    assert "cannot be scraped" in str(third.reason)
