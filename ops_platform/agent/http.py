"""The agent's HTTP server: ``GET /metrics``, ``GET /healthz``, ``POST /alerts``. Decides nothing."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ops_platform.agent.supervised_loop import LoopState
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError

log = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 4 * 1024 * 1024
CLIENT_TIMEOUT_SECONDS = 10.0

Receive = Callable[[Mapping[str, Any]], int]
"""Records a notification's alerts and returns how many were new. Raises OpsError."""


class AgentServer:
    """HTTP server in a thread of its own, from ``start`` to ``close``.

    ``receive`` handles notifications; ``wait_for_first_round`` returns within a few seconds, and holds up
    scrapes until the loops have looked once.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        states: Callable[[], Mapping[str, LoopState]],
        receive: Receive,
        wait_for_first_round: Callable[[], object],
    ) -> None:
        """Bind the address. Raises ConfigurationError when that fails."""

        class Handler(_Handler):
            pass

        Handler.registry = registry
        Handler.states = staticmethod(states)
        Handler.receive = staticmethod(receive)
        Handler.wait_for_first_round = staticmethod(wait_for_first_round)
        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; free it or set OPS_AGENT_LISTEN_PORT"
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """Port that the server listens on, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start to answer requests."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether the server's thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop the server and free the address."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Ended workers must not hold up the end of the process.
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.warning("http: a request failed; the client went away or sent no HTTP")


class _Handler(BaseHTTPRequestHandler):
    registry: CollectorRegistry
    states: Callable[[], Mapping[str, LoopState]]
    receive: Receive
    wait_for_first_round: Callable[[], object]
    timeout = CLIENT_TIMEOUT_SECONDS
    server_version = "ops-platform-agent"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            self._health()
        else:
            self._json(404, {"error": "not here; there are /metrics, /healthz and POST /alerts"})

    def do_POST(self) -> None:
        if self.path.partition("?")[0] != "/alerts":
            self._json(404, {"error": "not here; POST goes to /alerts"})
            return
        if self._is_of_a_browser():
            # Any page in an operator's browser could forge an alert: Alertmanager is no browser.
            self._json(403, {"error": "alerts are taken from Alertmanager, as application/json"})
            return
        body = self._body()
        if body is None:
            return
        try:
            recorded = self.receive(body)
        except CheckFailed as error:
            self._json(400, {"error": str(error)})
        except OpsError as error:
            # 503 has Alertmanager try again: the notification is not lost.
            self._json(503, {"error": str(error)})
        else:
            self._json(200, {"recorded": recorded})

    def _metrics(self) -> None:
        # Right after a restart the first scrape must show facts, not that nothing was read yet.
        self.wait_for_first_round()
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        self._answer(200, content_type, encode(self.registry))

    def _health(self) -> None:
        states = self.states()
        stuck = [name for name, state in states.items() if state.condition == "stuck"]
        loops = {
            name: {"condition": state.condition, **({"reason": state.reason} if state.reason else {})}
            for name, state in states.items()
        }
        self._json(503 if stuck else 200, {"status": "stuck" if stuck else "ok", "loops": loops})

    def _is_of_a_browser(self) -> bool:
        """Tell whether a browser sent the request for some page, or a form that is no JSON."""
        media_type = self.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
        says_so = any(name in self.headers for name in ("Origin", "Sec-Fetch-Site"))
        return says_so or media_type != "application/json"

    def _body(self) -> Mapping[str, Any] | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self._json(411, {"error": "Content-Length is missing"})
            return None
        if not 0 <= length <= LARGEST_BODY_BYTES:
            self._json(413, {"error": f"the body may have at most {LARGEST_BODY_BYTES} bytes"})
            return None
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._json(400, {"error": "the body is not a JSON object"})
            return None
        return body

    def _json(self, status: int, body: Mapping[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(body).encode() + b"\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a line for every scrape would bury what matters."""
