"""``python -m ops_platform.api``: the API over TLS, its metrics on a port of their own."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any, cast

import uvicorn
from prometheus_client import start_http_server

from ops_platform.api.app import build
from ops_platform.api.edge import ConnectionLimits, Connections, Doorway, RequestLimits, protocol
from ops_platform.api.service import Service, open_service
from ops_platform.clients import safe_errors
from ops_platform.errors import ConfigurationError, OpsError
from ops_platform.settings import ApiSettings, load_settings

STOP_SECONDS = 3
BACKLOG = 256


def server(service: Service, api: ApiSettings, connections: Connections) -> uvicorn.Server:
    """Prepare the HTTP server; the caller runs it over the doorways of ``connections``.

    Raises ConfigurationError when only one of certificate and key is configured, or a file is missing.
    """
    certificate, key = api.certificate_file, api.key_file
    if (certificate is None) != (key is None):
        raise ConfigurationError("set both OPS_API_CERTIFICATE_FILE and OPS_API_KEY_FILE, or neither")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise ConfigurationError(
                f"there is no file {file}: correct OPS_API_CERTIFICATE_FILE or _KEY_FILE"
            )
    limits = RequestLimits(
        api.head_bytes,
        api.head_fields,
        api.head_seconds,
        api.body_seconds,
        api.idle_seconds,
        api.unread_seconds,
    )
    return uvicorn.Server(
        uvicorn.Config(
            build(service),
            # A doorway's connections are admitted in Python, which uvloop would pass by.
            loop="asyncio",
            http=cast("Any", protocol(limits, connections)),
            ws="none",
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


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, 1 when it could not start, 2 for a wrong configuration."""
    safe_errors.guard(logging.INFO)
    # httpx logs every request at INFO; the pool quotes the URL of a server that cannot be reached.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    try:
        settings = load_settings()
        service = open_service(settings)
        connections = open_connections(service, settings.api)
        running = server(service, settings.api, connections)
        doorways = _listen(settings.api, connections)
        _serve_metrics(service, settings.api)
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn handles them while it runs and raises them again afterwards, when all is done.
        signal.signal(number, lambda *_: None)
    try:
        # Objects that exist by now stay: each search of them for garbage would take tens of milliseconds.
        gc.freeze()
        running.run(sockets=list(doorways))
    finally:
        service.close()
    return 0 if running.started else 1


def open_connections(service: Service, api: ApiSettings) -> Connections:
    """Build the table of connections. Raises ConfigurationError for limits that cannot be kept."""
    limits = ConnectionLimits.within_descriptors(
        api.connections, api.connections_per_address, api.head_seconds
    )
    return Connections(limits, service.trusted_proxies, service.metrics.refused)


def _listen(api: ApiSettings, connections: Connections) -> Sequence[Doorway]:
    host, port = api.listen_host, api.listen_port
    try:
        return Doorway.listen_on(host, port, connections)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}; free it or set OPS_API_LISTEN_PORT"
        ) from None


def _serve_metrics(service: Service, api: ApiSettings) -> None:
    host, port = api.metrics_listen_host, api.metrics_listen_port
    try:
        start_http_server(port, host, service.metrics.registry)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}; free it or set OPS_API_METRICS_LISTEN_PORT"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
