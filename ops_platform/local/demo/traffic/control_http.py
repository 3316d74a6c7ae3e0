"""The traffic service's HTTP server: ``/metrics``, ``/healthz`` and, for this machine only, ``/control``.

``GET /control`` returns the failure modes, ``POST`` (a JSON object) changes some of them,
``DELETE`` makes the product healthy again.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.local.demo.failure_modes import Control

_LARGEST_BODY = 4096


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: CollectorRegistry
    control: Control


@contextmanager
def serving(host: str, port: int, registry: CollectorRegistry, control: Control) -> Iterator[int]:
    """Serve in threads while the block runs; yields the port (chosen by the system when ``port`` is 0).

    Raises Unavailable when the port is taken.
    """
    try:
        server = _Server((host, port), _Handler)
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}: free it or set OPS_TRAFFIC_LISTEN_PORT"
        ) from None
    server.registry, server.control = registry, control
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # a client that never finishes its request
    server_version = "demo-product"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, generate_latest(self._server.registry), CONTENT_TYPE_LATEST)
        elif path == "/healthz":
            self._answer(HTTPStatus.OK, b"ok\n", "text/plain; charset=utf-8")
        elif path == "/control" and self._may_control():
            self._json(HTTPStatus.OK, self._server.control.modes.as_dict())
        else:
            self._not_found()

    def do_POST(self) -> None:
        if self.path != "/control" or not self._may_control():
            return self._not_found()
        # A web page in a browser on this machine cannot send this type without asking first.
        if self.headers.get_content_type() != "application/json":
            return self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send a JSON object as application/json")
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 <= length <= _LARGEST_BODY:
                return self._refuse(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {_LARGEST_BODY} bytes"
                )
            given = json.loads(self.rfile.read(length))
            if not isinstance(given, dict):
                return self._refuse(HTTPStatus.BAD_REQUEST, "send a JSON object")
            modes = self._server.control.change(given)
        except ValueError:
            return self._refuse(HTTPStatus.BAD_REQUEST, "the body is not JSON")
        except ConfigurationError as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        return self._json(HTTPStatus.OK, modes.as_dict())

    def do_DELETE(self) -> None:
        if self.path != "/control" or not self._may_control():
            return self._not_found()
        return self._json(HTTPStatus.OK, self._server.control.reset().as_dict())

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: scrapes every few seconds would fill the log."""

    @property
    def _server(self) -> _Server:
        return cast(_Server, self.server)

    def _may_control(self) -> bool:
        return ipaddress.ip_address(self.client_address[0]).is_loopback

    def _not_found(self) -> None:
        self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here: /metrics, /healthz, /control")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._json(status, {"error": reason})

    def _json(self, status: HTTPStatus, value: object) -> None:
        self._answer(status, json.dumps(value).encode() + b"\n", "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
