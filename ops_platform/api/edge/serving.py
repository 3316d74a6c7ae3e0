"""How a door is served: uvicorn's settings, its certificate, its ports, and the signals that end it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import uvicorn

from ops_platform.api.edge.connections import Connections, Doorway
from ops_platform.api.edge.http_protocol import RequestLimits, protocol
from ops_platform.clients import safe_errors
from ops_platform.errors import ConfigurationError

STOP_SECONDS = 3
BACKLOG = 256


def server(
    application: Any,
    connections: Connections,
    limits: RequestLimits,
    files: tuple[Path | None, Path | None],
    settings: str,
    *,
    websockets: Literal["none", "websockets-sansio"] = "none",
    message_bytes: int = 0,
) -> uvicorn.Server:
    """Prepare the HTTP server of an application; the caller runs it over the doorways of ``connections``.

    ``files`` are certificate and key, ``settings`` is what the names of its settings begin with, and
    ``message_bytes`` the largest message of a WebSocket. Raises ConfigurationError when only one of
    certificate and key is configured, or a file is missing.
    """
    certificate, key = files
    if (certificate is None) != (key is None):
        raise ConfigurationError(f"set both {settings}_CERTIFICATE_FILE and {settings}_KEY_FILE, or neither")
    for file in files:
        if file is not None and not file.is_file():
            raise ConfigurationError(
                f"there is no file {file}: correct {settings}_CERTIFICATE_FILE or _KEY_FILE"
            )
    return uvicorn.Server(
        uvicorn.Config(
            application,
            # A doorway's connections are admitted in Python, which uvloop would pass by.
            loop="asyncio",
            http=cast("Any", protocol(limits, connections)),
            ws=websockets,
            ws_max_size=message_bytes,
            ws_per_message_deflate=False,
            backlog=BACKLOG,
            timeout_keep_alive=limits.idle_seconds,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            # Addresses and request ids are personal data; metrics and lineage record what happens.
            access_log=False,
            # ``addresses`` reads X-Forwarded-For, from the right.
            proxy_headers=False,
            server_header=False,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )


def listen(host: str, port: int, connections: Connections, setting: str) -> Sequence[Doorway]:
    """Open the doorways of a port. Raises ConfigurationError, naming ``setting``, for one that is taken."""
    try:
        return Doorway.listen_on(host, port, connections)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}; free it or set {setting}"
        ) from None


def guard_logs() -> None:
    """Let no library log an address, a request or a URL with a password."""
    safe_errors.guard(logging.INFO)
    # httpx logs every request at INFO; the pool quotes the URL of a server that cannot be reached.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


def leave_signals_to_the_server() -> None:
    """Do nothing at SIGTERM and SIGINT: uvicorn handles them, and raises them again when all is done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
