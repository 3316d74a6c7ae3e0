"""A Prometheus that is slow, says that its answer is partial, or answers something else: never a number."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.counting import reader as source
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests.prometheus import metric_names, running_prometheus
from ops_platform_tests.slo.recorded import prometheus_with, publishing

EVERY = openslo.load_directory(files.default_config_dir() / "objectives")
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


@contextmanager
def answering(body: bytes, status: int = 200, kind: str = "application/json") -> Iterator[str]:
    """A server that says the same whatever it is asked; what no real one can be brought to say."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refusal(url: str, timeout: float = 5) -> str:
    asked = Prometheus(url, timeout_seconds=timeout)
    with pytest.raises(Unavailable) as caught:
        counting.count(asked, EVERY, [END - timedelta(hours=1), END], datetime.now(UTC))
    asked.close()
    said = str(caught.value)
    assert "\n" not in said
    return said


def vector(**more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}, **more}).encode()


def test_a_partial_answer_is_no_answer() -> None:
    # As Thanos says it when one of its stores is away.
    body = vector(warnings=["receive series from Addr: store-1: unavailable"])
    with answering(body) as url:
        assert "may be partial" in refusal(url)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"<html>a proxy</html>", 200, "JSON"),
        (b'{"status": "error", "error": "boom"}', 200, "unexpected answer"),
        (b'{"status": "error", "errorType": "timeout", "error": "query timed out"}', 503, "query timed out"),
        (b'{"status": "error", "error": "too many samples"}', 422, "too many samples"),
        (b"[]", 200, "unexpected answer"),
    ],
)
def test_anything_else_is_one_line(body: bytes, status: int, word: str) -> None:
    with answering(body, status) as url:
        assert word in refusal(url)


def test_one_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "in time" in refusal(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)


@pytest.mark.services
def test_a_gauge_that_is_called_like_a_counter_is_refused(tmp_path: Path) -> None:
    exposed = (
        b"# TYPE queue_total gauge\nqueue_total 5\n# TYPE done_total counter\ndone_total 5\n"
        b"# TYPE done gauge\ndone 5\n"
    )
    with answering(exposed, kind="text/plain; version=0.0.4") as url:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {"job_name": "product", "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            ],
        }
        with running_prometheus(tmp_path, yaml.safe_dump(config)) as prometheus:
            wait_until(lambda: "queue_total" in metric_names(prometheus), 30, "a scrape")
            now = datetime.now(UTC)
            queue, done = Selector("queue_total", ()), Selector("done_total", ())
            reading = source.read(prometheus, [queue, done], now - timedelta(minutes=30), now)
            assert "queue_total is a gauge" in reading.doubts[queue][0].reason
            assert reading.doubts[done] == ()


@pytest.mark.services
def test_what_is_too_much_to_load_at_once_is_asked_for_in_parts(tmp_path: Path) -> None:
    start = END - timedelta(hours=20)
    bounds = counting.hours(start, END)
    [one] = [each for each in EVERY if each.name == "signatures"]
    # Of an hour and what lies around it there are 160 samples of a series, of all of it 2440.
    found = []
    for limit in (1_000_000, 1000):
        directory = tmp_path / str(limit)
        directory.mkdir()
        flags = [f"--query.max-samples={limit}"]
        with prometheus_with(publishing(start, END), directory, flags=flags) as prometheus:
            found.append(counting.count(prometheus, [one], bounds, datetime.now(UTC))[one])
    assert {each.state for each in found[0]} == {"ok"}
    assert found[0] == found[1]
