"""A TCP relay to a service, which a test takes away or spoils while the service itself goes on for others."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: 60\r\n"
    b"Connection: close\r\n\r\n<Error><Code>SlowDown</Code><Message>later</Message></Error>"
)
"""What S3 answers when it is asked too much."""


class Relay:
    """Listens on a free port of 127.0.0.1 (``port``) and passes every connection on to ``target``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._over = threading.Event()
        self._pace: float | None = None
        self._answer: tuple[ssl.SSLContext, bytes] | None = None
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def slow_down(self, bytes_per_second: float) -> None:
        """Pass on what the service answers byte by byte, also on connections that are open."""
        self._pace = bytes_per_second

    def answer(self, context: ssl.SSLContext, response: bytes = UNAVAILABLE) -> None:
        """Break the connections there are; each request on a new one gets ``response``, over TLS."""
        self._answer = context, response
        self._break()

    def stop(self) -> None:
        """Refuse all new connections and break those there are. Again changes nothing."""
        self._over.set()
        # shutdown, since close alone does not wake the thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        self._break()

    def _break(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._answer is not None:
                threading.Thread(target=_respond, args=(near, *self._answer), daemon=True).start()
                continue
            far = socket.create_connection(self._target)
            with self._lock:
                self._open |= {near, far}
            for one, other, answers in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pass_on, args=(one, other, answers), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                for part in self._paced(data) if answers else (data,):
                    sink.sendall(part)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            self._open.discard(source)

    def _paced(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data) and self._pace is not None and not self._over.wait(1 / self._pace):
            yield data[at : at + 1]
            at += 1
        yield data[at:]


def _respond(near: socket.socket, context: ssl.SSLContext, response: bytes) -> None:
    with contextlib.suppress(OSError), context.wrap_socket(near, server_side=True) as secured:
        asked = b""
        while b"\r\n\r\n" not in asked and (data := secured.recv(65536)):
            asked += data
        secured.sendall(response)
