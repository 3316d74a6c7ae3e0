"""When certificates end, from files and from live endpoints, expired ones too."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from ops_platform.agent.probes.certificates import (
    Endpoint,
    certificate_files,
    endpoint_expiry,
    endpoint_of,
    file_expiry,
    read_expiries,
)
from ops_platform.errors import Unavailable

END = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@contextmanager
def server(end: datetime, *, postgresql: bool = False, refuse: bool = False) -> Iterator[int]:
    """Accepts one connection and speaks TLS, at once or after PostgreSQL's request."""
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if postgresql:
                    assert connection.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
                    connection.sendall(b"N" if refuse else b"S")
                if not refuse:
                    # The client hangs up as soon as it has the certificate.
                    with (
                        contextlib.suppress(OSError),
                        context.wrap_socket(connection, server_side=True) as secured,
                    ):
                        secured.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize("postgresql", [False, True])
@pytest.mark.parametrize("end", [END, datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)])
def test_a_live_certificate_tells_its_end(end: datetime, postgresql: bool) -> None:
    with server(end, postgresql=postgresql) as port:
        endpoint = Endpoint("it", "127.0.0.1", port, "postgresql" if postgresql else "tls")
        assert endpoint_expiry(endpoint) == end


def test_a_server_without_tls_is_said() -> None:
    with (
        server(END, postgresql=True, refuse=True) as port,
        pytest.raises(Unavailable, match="does not offer TLS"),
    ):
        endpoint_expiry(Endpoint("product", "127.0.0.1", port, "postgresql"))


def test_a_file_tells_the_earliest_end_of_its_chain(tmp_path: Path) -> None:
    authority = trustme.CA()
    chain = [authority.issue_cert("localhost", not_after=END + timedelta(days=n)) for n in (5, 0, 9)]
    path = tmp_path / "server.pem"
    path.write_bytes(b"".join(issued.cert_chain_pems[0].bytes() for issued in chain))
    assert file_expiry(path) == END


def test_what_cannot_be_read_is_unknown_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = read_expiries(
        {"away": tmp_path / "away.pem", "empty": tmp_path / "empty.pem"}, [Endpoint("s3", "127.0.0.1", port)]
    )
    assert [expiry.ends_at for expiry in found] == [None, None, None]
    assert [expiry.reason.split(":")[0] for expiry in found] == [
        "cannot read the certificate away.pem",
        "empty.pem holds no certificate",
        "cannot read the certificate of s3 at 127.0.0.1",
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://127.0.0.1:8443", Endpoint("x", "127.0.0.1", 8443)),
        ("https://s3.example.org", Endpoint("x", "s3.example.org", 443)),
        ("rediss://cache:6380/0", Endpoint("x", "cache", 6380)),
        ("postgresql://ops_agent@db/ops?sslmode=verify-full", Endpoint("x", "db", 5432, "postgresql")),
        ("http://127.0.0.1:8080", None),
        ("postgresql:///ops?host=/run/postgresql", None),
        ("https://host:notaport", None),
        (None, None),
    ],
)
def test_endpoints_of_urls(url: str | None, expected: Endpoint | None) -> None:
    assert endpoint_of("x", url) == expected


def test_files_are_named_below_the_state_directory(tmp_path: Path) -> None:
    (tmp_path / "tls" / "s3").mkdir(parents=True)
    for name in ("ca.pem", "s3/server.pem", "s3/server.key"):
        (tmp_path / "tls" / name).write_text("")
    own = tmp_path / "company.pem"
    assert certificate_files(tmp_path, own) == {
        "tls/ca.pem": tmp_path / "tls/ca.pem",
        "tls/s3/server.pem": tmp_path / "tls/s3/server.pem",
        "company.pem": own,
    }
    assert list(certificate_files(tmp_path, tmp_path / "tls/ca.pem")) == ["tls/ca.pem", "tls/s3/server.pem"]
