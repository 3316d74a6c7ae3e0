"""When certificates end: those in files and those that live TLS endpoints present.

Reads expiry only. Whether a certificate is to be trusted is decided by whoever connects; an
expired one must still tell its date here.
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


def endpoint(name: str, url: str | None) -> Endpoint | None:
    """The endpoint of a URL; None when it is not one that speaks TLS over TCP."""
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


def of_file(path: Path) -> datetime:
    """The earliest end among the certificates of a PEM file. Raises Unavailable."""
    try:
        return min(c.not_valid_after_utc for c in x509.load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise Unavailable(f"cannot read the certificate {path.name}: {error.strerror}") from None
    except ValueError:
        raise Unavailable(f"{path.name} holds no certificate: remove or replace it") from None


def of_endpoint(where: Endpoint) -> datetime:
    """The end of the certificate that the server presents now. Raises Unavailable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((where.host, where.port), TIMEOUT_SECONDS) as plain:
            if where.protocol == "postgresql":
                plain.sendall(_POSTGRES_SSL_REQUEST)
                if plain.recv(1) != b"S":
                    raise Unavailable(
                        f"{where.name} at {where.host}:{where.port} does not offer TLS: switch ssl on"
                    )
            with context.wrap_socket(plain, server_hostname=where.host) as secured:
                certificate = secured.getpeercert(binary_form=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unavailable(
            f"cannot read the certificate of {where.name} at {where.host}:{where.port}: {reason}"
        ) from None
    if certificate is None:
        raise Unavailable(f"{where.name} at {where.host}:{where.port} presents no certificate")
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc


@dataclass(frozen=True)
class Expiry:
    """``ends_at`` is None when it could not be read; ``reason`` then says why."""

    name: str
    source: Literal["file", "endpoint"]
    ends_at: datetime | None
    reason: str = ""


def survey(files: Mapping[str, Path], endpoints: list[Endpoint]) -> list[Expiry]:
    """Every certificate once, the unreadable ones as unknown. Never raises for one of them."""
    found: list[Expiry] = []
    for name, path in files.items():
        try:
            found.append(Expiry(name, "file", of_file(path)))
        except Unavailable as error:
            found.append(Expiry(name, "file", None, str(error)))
    for where in endpoints:
        try:
            found.append(Expiry(where.name, "endpoint", of_endpoint(where)))
        except Unavailable as error:
            found.append(Expiry(where.name, "endpoint", None, str(error)))
    return found


def files_below(state_dir: Path, ca_file: Path | None) -> dict[str, Path]:
    """The certificate files to watch, named relative to the state directory."""
    directory = state_dir / "tls"
    found = {str(path.relative_to(state_dir)): path for path in sorted(directory.rglob("*.pem"))}
    if ca_file is not None and ca_file not in found.values():
        found[ca_file.name] = ca_file
    return found
