"""A time stamping authority for tests: OpenSSL's own, behind HTTP."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_CONFIGURATION = """
[tsa]
default_tsa = one
[one]
serial = {directory}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[signer]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
basicConstraints = CA:FALSE
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[req]
distinguished_name = name
[name]
"""


@dataclass
class Tsa:
    """``replay``: an earlier answer that is given again, whatever is asked."""

    directory: Path
    url: str = ""
    asked: int = 0
    replay: bytes | None = None
    status: int = 200

    @property
    def ca_file(self) -> Path:
        return self.directory / "root.pem"

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def make(self) -> None:
        (self.directory / "cnf").write_text(_CONFIGURATION.format(directory=self.directory), encoding="utf-8")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "cnf")
        self.openssl("req", "-x509", *curve, "-keyout", "root.key", "-out", "root.pem", "-days", "3650",
                     "-subj", "/CN=root", "-extensions", "root")  # fmt: skip
        self.openssl("req", *curve, "-keyout", "signer.key", "-out", "signer.csr", "-subj", "/CN=signer")
        self.openssl("x509", "-req", "-in", "signer.csr", "-CA", "root.pem", "-CAkey", "root.key",
                     "-CAcreateserial", "-days", "3650", "-extfile", "cnf", "-extensions", "signer",
                     "-out", "signer.pem")  # fmt: skip

    def answer(self, query: bytes) -> bytes:
        self.asked += 1
        (self.directory / "query").write_bytes(query)
        self.openssl("ts", "-reply", "-config", "cnf", "-queryfile", "query", "-inkey", "signer.key",
                     "-signer", "signer.pem", "-out", "answer")  # fmt: skip
        return self.replay or (self.directory / "answer").read_bytes()


@contextmanager
def running_tsa(directory: Path) -> Iterator[Tsa]:
    tsa = Tsa(directory)
    tsa.make()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = tsa.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(tsa.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    tsa.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield tsa
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
