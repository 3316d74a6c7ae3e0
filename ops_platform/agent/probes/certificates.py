"""Expiry of certificates: those in files and those that live TLS endpoints present.

Only the expiry is read. Trust is decided where somebody connects; an expired certificate must still
show its date here.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509

from ops_platform.errors import Unavailable

TIMEOUT_SECONDS = 5.0
_POSTGRES_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_DEFAULT_PORTS = {"https": 443, "rediss": 6379, "postgresql": 5432, "postgres": 5432}


@dataclass(frozen=True)
class Endpoint:
    """A server that speaks TLS at once (``tls``) or after PostgreSQL's request (``postgresql``)."""

    name: str
    host: str
    port: int
    protocol: Literal["tls", "postgresql"] = "tls"


def endpoint_of(name: str, url: str | None) -> Endpoint | None:
    """Read the endpoint of a URL; None when it is not one that speaks TLS over TCP."""
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    try:
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except ValueError:
        return None
    return Endpoint(
        name, parts.hostname, port, "postgresql" if parts.scheme.startswith("postgres") else "tls"
    )


def file_expiry(path: Path) -> datetime:
    """Find the earliest end among the certificates of a PEM file. Raises Unavailable."""
    try:
        return min(
            certificate.not_valid_after_utc
            for certificate in x509.load_pem_x509_certificates(path.read_bytes())
        )
    except OSError as error:
        raise Unavailable(f"cannot read the certificate {path.name}: {error.strerror}") from None
    except ValueError:
        raise Unavailable(f"{path.name} holds no certificate: remove or replace it") from None


def endpoint_expiry(endpoint: Endpoint) -> datetime:
    """Read the end of the certificate that the server presents now. Raises Unavailable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((endpoint.host, endpoint.port), TIMEOUT_SECONDS) as plain:
            if endpoint.protocol == "postgresql":
                plain.sendall(_POSTGRES_SSL_REQUEST)
                if plain.recv(1) != b"S":
                    raise Unavailable(
                        f"{endpoint.name} at {endpoint.host}:{endpoint.port} does not offer TLS: "
                        "switch ssl on"
                    )
            with context.wrap_socket(plain, server_hostname=endpoint.host) as secured:
                certificate = secured.getpeercert(binary_form=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unavailable(
            f"cannot read the certificate of {endpoint.name} at {endpoint.host}:{endpoint.port}: {reason}"
        ) from None
    if certificate is None:
        raise Unavailable(f"{endpoint.name} at {endpoint.host}:{endpoint.port} presents no certificate")
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc


@dataclass(frozen=True)
class Expiry:
    """Expiry of a certificate; ``ends_at`` None: it could not be read, and ``reason`` says why."""

    name: str
    source: Literal["file", "endpoint"]
    ends_at: datetime | None
    reason: str = ""


def read_expiries(files: Mapping[str, Path], endpoints: list[Endpoint]) -> list[Expiry]:
    """Read every certificate once, the unreadable ones as unknown. Never raises for one of them."""
    expiries: list[Expiry] = []
    for name, path in files.items():
        try:
            expiries.append(Expiry(name, "file", file_expiry(path)))
        except Unavailable as error:
            expiries.append(Expiry(name, "file", None, str(error)))
    for endpoint in endpoints:
        try:
            expiries.append(Expiry(endpoint.name, "endpoint", endpoint_expiry(endpoint)))
        except Unavailable as error:
            expiries.append(Expiry(endpoint.name, "endpoint", None, str(error)))
    return expiries


def certificate_files(state_dir: Path, ca_file: Path | None) -> dict[str, Path]:
    """List the certificate files to watch: path relative to the state directory -> path."""
    directory = state_dir / "tls"
    files = {str(path.relative_to(state_dir)): path for path in sorted(directory.rglob("*.pem"))}
    if ca_file is not None and ca_file not in files.values():
        files[ca_file.name] = ca_file
    return files
