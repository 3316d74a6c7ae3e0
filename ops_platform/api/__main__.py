"""``python -m ops_platform.api``: the API over TLS, its metrics on a port of their own."""

from __future__ import annotations

import gc
import sys

import uvicorn
from prometheus_client import start_http_server

from ops_platform.api import edge
from ops_platform.api.app import build
from ops_platform.api.edge import ConnectionLimits, Connections, RequestLimits
from ops_platform.api.service import Service, open_service
from ops_platform.errors import ConfigurationError, OpsError
from ops_platform.settings import ApiSettings, load_settings


def server(service: Service, api: ApiSettings, connections: Connections) -> uvicorn.Server:
    """Prepare the HTTP server; the caller runs it over the doorways of ``connections``.

    Raises ConfigurationError when only one of certificate and key is configured, or a file is missing.
    """
    limits = RequestLimits(
        api.head_bytes,
        api.head_fields,
        api.head_seconds,
        api.body_seconds,
        api.idle_seconds,
        api.unread_seconds,
    )
    files = (api.certificate_file, api.key_file)
    return edge.server(build(service), connections, limits, files, "OPS_API")


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, 1 when it could not start, 2 for a wrong configuration."""
    edge.guard_logs()
    try:
        settings = load_settings()
        service = open_service(settings)
        connections = open_connections(service, settings.api)
        running = server(service, settings.api, connections)
        doorways = edge.listen(
            settings.api.listen_host, settings.api.listen_port, connections, "OPS_API_LISTEN_PORT"
        )
        _serve_metrics(service, settings.api)
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    edge.leave_signals_to_the_server()
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
