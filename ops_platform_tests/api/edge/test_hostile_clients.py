"""Clients that draw a connection out or open too many: they are cut, and others are answered meanwhile."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.clients.waiting import wait_until
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.api.house import house
from ops_platform_tests.api.running import RunningApi, running_api
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.services import OpsDatabases, Services

pytestmark = pytest.mark.services
SECONDS = "1.5"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def running(
    services: Services,
    ops_databases: OpsDatabases,
    people: PostgresCluster,
    redis_server: RunningRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningApi]:
    folder, database = tmp_path_factory.mktemp("api"), ops_databases.create()
    times = dict.fromkeys(("OPS_API_HEAD_SECONDS", "OPS_API_BODY_SECONDS", "OPS_API_UNREAD_SECONDS"), SECONDS)
    with (
        house(database, people, redis_server, folder) as made,
        running_api(services, made, folder / "api.log", OPS_API_IDLE_SECONDS="1", **times) as api,
    ):
        yield api
    ops_databases.drop(database)


class Clients:
    """Raw connections to the API, over TLS."""

    def __init__(self, running: RunningApi, stack: ExitStack) -> None:
        self.running, self._stack = running, stack
        self._trust = ssl.create_default_context(cafile=str(running.ca_file))

    def plain(self) -> socket.socket:
        port = int(self.running.url.rpartition(":")[2])
        return self._stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))

    def one(self) -> ssl.SSLSocket:
        return self._stack.enter_context(self._trust.wrap_socket(self.plain(), server_hostname="localhost"))

    def others_are_answered(self) -> None:
        with self.running.client() as client:
            assert client.get("/healthz").is_success

    def refused(self, reason: str) -> float:
        text = httpx.get(self.running.metrics_url, trust_env=False).text
        return next(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "gdpr_api_refused_connections_total" and sample.labels["reason"] == reason
        )


@pytest.fixture
def clients(running: RunningApi) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(running, stack)


def answer(client: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionError, ssl.SSLError):
        while chunk := client.recv(65536):
            received += chunk
    return received


def is_over(client: socket.socket, send: bytes) -> Callable[[], bool]:
    """Whether the server has ended the connection, which goes on sending."""

    def look() -> bool:
        client.settimeout(0.01)
        try:
            client.sendall(send)
            return client.recv(65536) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    return look


def check_problem(received: bytes, status: int, name: str) -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), received[:200]
    fields = head.lower()
    expected = (
        b"content-type: application/problem+json",
        b"x-content-type-options: nosniff",
        b"strict-transport-security: ",
        b"content-security-policy: ",
        b"connection: close",
    )
    for field in expected:
        assert field in fields
    assert f'"urn:ops-platform:problem:{name}"'.encode() in body


def test_heads_without_end_and_with_too_many_fields(clients: Clients) -> None:
    endless = clients.one()
    endless.sendall(GET + b"X-Endless: ")
    with suppress(OSError):
        for _ in range(64):
            endless.sendall(b"x" * 4096)
            clients.others_are_answered() if _ % 16 == 0 else None
    check_problem(answer(endless), 400, "head-too-large")
    for head in (b"X: y\r\n" * 200, b"X-Long: " + b"y" * 20_000 + b"\r\n"):
        client = clients.one()
        client.sendall(GET + head + b"\r\n")
        check_problem(answer(client), 400, "head-too-large")
    asking_head = clients.one()
    asking_head.sendall(GET.replace(b"GET", b"HEAD") + b"X: y\r\n" * 200 + b"\r\n")
    received = answer(asking_head)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")
    garbled = clients.one()
    garbled.sendall(b"\x00\x01 no request\r\n\r\n")
    check_problem(answer(garbled), 400, "malformed-request")
    assert clients.refused("head-too-large") == 4
    assert "Traceback" not in clients.running.log_file.read_text()
    clients.others_are_answered()


def test_trickling_clients_are_cut(clients: Clients) -> None:
    head = []
    for _ in range(50):
        head.append(clients.one())
        head[-1].sendall(b"GET ")
    post = b"POST /api/gdpr/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    body = clients.one()
    body.sendall(post + b"Content-Length: 5000\r\n\r\n")
    unasked = clients.one()
    unasked.sendall(GET + b"Content-Length: 5000\r\n\r\n")
    for client in (*head, body, unasked):
        wait_until(is_over(client, b"x"), 20, "a client that trickles is cut", interval=0.1)
    clients.others_are_answered()
    assert clients.refused("slow-head") == len(head)


def test_half_handshakes_and_half_requests_beyond_the_descriptors(clients: Clients) -> None:
    resource.prlimit(clients.running.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    silent = [clients.plain() for _ in range(1007)]
    half = [clients.one() for _ in range(60)]
    for client in half:
        client.sendall(GET)
    clients.others_are_answered()
    for handshake in silent[-3:]:
        wait_until(is_over(handshake, b""), 20, "a handshake that does not go on is cut", interval=0.1)
    assert clients.refused("connections-of-address") > 900
    assert "Traceback" not in clients.running.log_file.read_text()


def test_answers_that_nobody_reads(clients: Clients) -> None:
    """More of them than the system's own buffers take."""
    before = clients.refused("unread-answer")
    deaf = clients.one()
    deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
    clients.others_are_answered()
    wait_until(lambda: clients.refused("unread-answer") > before, 30, "who does not read is cut")
