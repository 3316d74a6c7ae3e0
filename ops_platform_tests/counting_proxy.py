"""A proxy in front of S3 that counts requests by their kind, as AWS would bill them.

It ends TLS with the stack's own certificate and passes everything on unchanged: Host, and with it the
signature, stay as the client wrote them.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

LIST_DOLLARS = 0.005 / 1000
"""AWS list price of a LIST, PUT or POST."""
GET_DOLLARS = 0.0004 / 1000
"""AWS list price of a GET or HEAD; a DELETE costs nothing."""
MONTH_SECONDS = 30 * 86400.0


@dataclass
class Requests:
    """Requests that went through, by kind: LIST, GET, HEAD, PUT, POST, DELETE.

    ``places``: those to a bucket (``bucket``), or below a prefix of one (``bucket/prefix/``), are counted.
    """

    places: tuple[str, ...]
    kinds: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, line: str) -> None:
        method, target = line.split(" ")[:2]
        path = target.partition("?")[0].removeprefix("/")
        if not any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in self.places):
            return
        kind = "LIST" if method == "GET" and "list-type=2" in target else method
        with self._lock:
            self.kinds[kind] += 1
            self.lines.append(f"{kind} {target}")

    def take(self) -> Counter[str]:
        """Return what was counted, and begin anew."""
        with self._lock:
            taken, self.kinds, self.lines = self.kinds, Counter(), []
        return taken


def dollars(kinds: Mapping[str, float]) -> float:
    """Price of these requests."""
    return LIST_DOLLARS * sum(kinds.get(kind, 0) for kind in ("LIST", "PUT", "POST")) + GET_DOLLARS * sum(
        kinds.get(kind, 0) for kind in ("GET", "HEAD")
    )


@contextmanager
def counting_proxy(
    upstream: int, certificate: Path, key: Path, *places: str
) -> Iterator[tuple[int, Requests]]:
    """Listen on a port of its own for the block, in front of the loopback port ``upstream``."""
    requests = Requests(places)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(plain: socket.socket) -> None:
        with (
            suppress(OSError),
            plain,
            server.wrap_socket(plain, server_side=True) as down,
            socket.create_connection(("127.0.0.1", upstream)) as raw,
            client.wrap_socket(raw) as up,
        ):
            back = threading.Thread(target=_answers, args=(up, down), daemon=True)
            back.start()
            _pass_on(down, up, requests)
            with suppress(OSError):
                up.shutdown(socket.SHUT_RDWR)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        listener.close()


def _pass_on(down: ssl.SSLSocket, up: ssl.SSLSocket, requests: Requests) -> None:
    """Pass requests on one after another, and count each by its first line."""
    file: BufferedReader = down.makefile("rb")
    while line := file.readline():
        requests.count(line.decode("latin-1"))
        head, length, chunked = [line], 0, False
        while (header := file.readline()) not in (b"\r\n", b""):
            head.append(header)
            name, _, value = header.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
            chunked = chunked or (name.strip().lower(), value.strip().lower()) == (
                b"transfer-encoding",
                b"chunked",
            )
        up.sendall(b"".join([*head, b"\r\n"]))
        if not (_pass_chunks(file, up) if chunked else _pass_bytes(file, up, length)):
            return


def _pass_bytes(file: BufferedReader, up: ssl.SSLSocket, length: int) -> bool:
    """Pass a body of known length on; False when it ended before."""
    while length:
        part = file.read(min(length, 1 << 16))
        if not part:
            return False
        up.sendall(part)
        length -= len(part)
    return True


def _pass_chunks(file: BufferedReader, up: ssl.SSLSocket) -> bool:
    """Pass a body in chunks on, with the lines behind it; False when it ended before."""
    while size := file.readline():
        up.sendall(size)
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            while (trailer := file.readline()) not in (b"\r\n", b""):
                up.sendall(trailer)
            up.sendall(b"\r\n")
            return True
        if not _pass_bytes(file, up, length + 2):
            return False
    return False


def _answers(up: ssl.SSLSocket, down: ssl.SSLSocket) -> None:
    with suppress(OSError):
        while part := up.recv(1 << 16):
            down.sendall(part)
