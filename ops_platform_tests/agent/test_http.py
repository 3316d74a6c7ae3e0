"""The HTTP face: metrics, health, the alert receiver's answers, bad requests."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from ops_platform.agent import http
from ops_platform.agent.http import LARGEST_BODY_BYTES, AgentServer
from ops_platform.agent.supervised_loop import LoopState
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform_tests.web import WEB

Start = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[AgentServer] = []

    def build(**changes: Any) -> str:
        registry = CollectorRegistry()
        Gauge("thing", "A thing.", registry=registry).set(7)
        arguments: dict[str, Any] = {
            "registry": registry,
            "states": lambda: {"seal": LoopState(condition="healthy")},
            "receive": lambda body: len(body["alerts"]),
            "wait_for_first_round": lambda: None,
            **changes,
        }
        server = AgentServer("127.0.0.1", 0, **arguments)
        server.start()
        servers.append(server)
        return f"http://127.0.0.1:{server.port}"

    yield build
    for server in servers:
        server.close()


def test_metrics_in_both_formats(start: Start) -> None:
    url = start()
    plain = WEB.get(f"{url}/metrics")
    assert "thing 7.0" in plain.text
    assert plain.headers["content-type"].startswith("text/plain")
    openmetrics = WEB.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.text.endswith("# EOF\n")


def test_the_first_scrape_waits_for_the_first_look(start: Start) -> None:
    waited: list[bool] = []
    url = start(wait_for_first_round=lambda: waited.append(True))
    WEB.get(f"{url}/metrics")
    assert waited == [True]


def test_health_is_503_only_when_a_loop_is_stuck(start: Start) -> None:
    states = {"seal": LoopState(condition="failing", reason="S3 is away")}
    url = start(states=lambda: states)
    failing = WEB.get(f"{url}/healthz")
    assert failing.status_code == 200
    assert failing.json()["loops"]["seal"] == {"condition": "failing", "reason": "S3 is away"}
    states["archive/product"] = LoopState(condition="stuck", reason="no end within 60 s")
    stuck = WEB.get(f"{url}/healthz")
    assert (stuck.status_code, stuck.json()["status"]) == (503, "stuck")


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, 200), (Unavailable("the ops database is away"), 503), (CheckFailed("no alerts"), 400)],
)
def test_the_receiver_answers_so_that_alertmanager_tries_again_or_not(
    start: Start, error: Exception | None, status: int
) -> None:
    def receive(_body: Mapping[str, Any]) -> int:
        if error is not None:
            raise error
        return 2

    answer = WEB.post(f"{start(receive=receive)}/alerts", json={"alerts": []})
    assert answer.status_code == status
    assert answer.json() == ({"recorded": 2} if error is None else {"error": str(error)})


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [("/alerts", b"{", 400), ("/alerts", b"[]", 400), ("/elsewhere", b"{}", 404), ("/alerts", b"\xff", 400)],
)
def test_bad_posts(start: Start, path: str, content: bytes, status: int) -> None:
    assert WEB.post(f"{start()}{path}", content=content).status_code == status


def test_a_huge_body_is_refused_unread(start: Start) -> None:
    port = int(start().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(f"POST /alerts HTTP/1.1\r\nContent-Length: {LARGEST_BODY_BYTES + 1}\r\n\r\n".encode())
        assert b" 413 " in client.recv(4096)


def test_unknown_paths_say_what_there_is(start: Start) -> None:
    answer = WEB.get(f"{start()}/")
    assert answer.status_code == 404
    assert "/metrics" in json.loads(answer.text)["error"]


def test_a_client_that_goes_away_stops_nobody(start: Start) -> None:
    url = start()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 5) as client:
        client.sendall(b"GET /met")
    assert WEB.get(f"{url}/metrics").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_web_page_forges_no_alert(start: Start, headers: dict[str, str]) -> None:
    received: list[object] = []

    def receive(body: object) -> int:
        received.append(body)
        return 1

    url = start(receive=receive)
    assert WEB.post(f"{url}/alerts", content=b'{"alerts": []}', headers=headers).status_code == 403
    json = {"Content-Type": "application/json; charset=utf-8"}
    assert WEB.post(f"{url}/alerts", content=b'{"alerts": []}', headers=json).status_code == 200
    assert received == [{"alerts": []}]


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"POST /alerts HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"])
def test_a_client_that_says_no_more_is_let_go(
    start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http._Handler, "timeout", 0.2)
    port = int(start().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(sent)
        assert client.recv(4096) == b""


def test_a_taken_port_is_one_line(start: Start) -> None:
    port = int(start().rpartition(":")[2])
    with pytest.raises(
        ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"
    ):
        AgentServer(
            "127.0.0.1",
            port,
            registry=CollectorRegistry(),
            states=dict,
            receive=lambda _body: 0,
            wait_for_first_round=lambda: None,
        )
