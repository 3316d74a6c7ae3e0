from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest

from ops_platform.local.host.accounts import account
from ops_platform.local.host.certificates import RENEW_DAYS, VALID_DAYS, Certificates, days_left


@pytest.fixture
def authority(tmp_path: Path) -> Certificates:
    certificates = Certificates(tmp_path / "tls")
    certificates.prepare()
    return certificates


def test_keys_are_private_and_the_authority_is_public(authority: Certificates) -> None:
    pair = authority.server("s3", account(None))
    assert pair.key.stat().st_mode & 0o777 == 0o600
    assert (authority.directory / "ca.key").stat().st_mode & 0o777 == 0o600
    assert authority.ca_file.stat().st_mode & 0o777 == 0o644


def test_the_authority_stays(authority: Certificates) -> None:
    before = authority.ca_file.read_bytes()
    authority.prepare()
    assert authority.ca_file.read_bytes() == before


def test_a_certificate_stays_until_few_days_are_left(authority: Certificates) -> None:
    me = account(None)
    pair = authority.server("s3", me)
    first = pair.certificate.read_bytes()
    now = datetime.datetime.now(datetime.UTC)
    authority.server("s3", me, now + datetime.timedelta(days=VALID_DAYS - RENEW_DAYS - 1))
    assert pair.certificate.read_bytes() == first
    later = now + datetime.timedelta(days=VALID_DAYS - RENEW_DAYS + 1)
    authority.server("s3", me, later)
    assert pair.certificate.read_bytes() != first
    assert days_left(pair.certificate, later) > RENEW_DAYS


def test_another_authority_means_another_certificate(authority: Certificates) -> None:
    me = account(None)
    first = authority.server("s3", me).certificate.read_bytes()
    (authority.directory / "ca.key").unlink()
    authority.prepare()
    assert authority.server("s3", me).certificate.read_bytes() != first


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_strict_client_accepts_it(authority: Certificates, name: str) -> None:
    pair = authority.server("s3", account(None))
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(pair.certificate, pair.key)
    client_side = ssl.create_default_context(cafile=str(authority.ca_file))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with server_side.wrap_socket(raw, server_side=True) as connection:
                connection.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname(), timeout=10) as raw,
            client_side.wrap_socket(raw, server_hostname=name) as connection,
        ):
            assert connection.recv(5) == b"hello"
        thread.join()


def test_an_unreadable_certificate_has_no_days_left(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("broken", encoding="utf-8")
    assert days_left(tmp_path / "broken.pem") < 0
    assert days_left(tmp_path / "missing.pem") < 0
