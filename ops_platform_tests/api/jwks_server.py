"""An identity provider's key document over HTTPS, by a server that can be away, wrong or slow."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ops_platform.local.host.accounts import account
from ops_platform_tests.services import Services

Reply = tuple[int, bytes]


@dataclass
class JwksServer:
    """``answer`` is asked for each request, which waits for it."""

    port: int
    answer: Callable[[], Reply]
    asked: int = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/jwks.json"


@contextmanager
def serving(services: Services, answer: Callable[[], Reply], port: int = 0) -> Iterator[JwksServer]:
    """Away again when the block ends. ``port``: 0 for any free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            status, body = made.answer()
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    pair = services.certificates.server("identity-provider", account(None))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        made = JwksServer(server.server_address[1], answer)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
