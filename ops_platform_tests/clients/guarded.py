"""A proxy that lets nobody through to a Prometheus who does not sign in, as each installation has its own."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

VECTOR = {"status": "success", "data": {"resultType": "vector", "result": []}}


@dataclass
class Guard:
    """Demands these headers; answers others with ``refusal``. ``upstream``: who then answers, else nobody."""

    demanded: Mapping[str, str] = field(default_factory=dict)
    refusal: tuple[int, str] = (401, "no")
    upstream: str | None = None
    tls: ssl.SSLContext | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request."""

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve at the URL that is yielded."""
        guard = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                guard.asked.append({name.lower(): value for name, value in self.headers.items()})
                status, said = guard.refusal
                if all(self.headers.get(name) == value for name, value in guard.demanded.items()):
                    status, said = guard.pass_on(method, self.path, body, dict(self.headers))
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "https://sign-in.example/")
                self.send_header("Content-Length", str(len(said.encode())))
                self.end_headers()
                self.wfile.write(said.encode())

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            def log_message(self, *_: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A handshake that fails is what is tested."""

        server = Server(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http{'s' if self.tls else ''}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def pass_on(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Ask the Prometheus behind it."""
        if self.upstream is None:
            return 200, json.dumps(VECTOR)
        kind = headers.get("Content-Type", "application/json")
        answer = httpx.request(
            method, self.upstream + path, content=body, headers={"Content-Type": kind}, trust_env=False
        )
        return answer.status_code, answer.text
