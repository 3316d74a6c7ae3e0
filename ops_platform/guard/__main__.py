"""``python -m ops_platform.guard``: the guard, at two doors: one for operators, one for auditors."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

import uvicorn

from ops_platform.api import addresses, edge
from ops_platform.api.edge import ConnectionLimits, Connections, Doorway, RequestLimits
from ops_platform.clients.postgres.pool import Pool
from ops_platform.errors import ConfigurationError, OpsError
from ops_platform.gate import GateAnswers
from ops_platform.guard import boundary
from ops_platform.guard.accounts import Accounts
from ops_platform.guard.app import Guard, Parts
from ops_platform.guard.identity import Doorkeeper
from ops_platform.guard.login import Attempts, Entrance, Provider, ProviderSettings, TrustedProxy
from ops_platform.guard.metrics import GuardMetrics
from ops_platform.guard.record import Record
from ops_platform.guard.sessions import Sessions
from ops_platform.guard.upstream import Upstream
from ops_platform.settings import Settings, load_settings

CONNECTIONS, OF_ADDRESS = 512, 256
"""A browser keeps six for each tab, and one for each page's subscriptions."""
LIMITS = RequestLimits(head_bytes=32 * 1024, idle_seconds=30)


def assemble(settings: Settings) -> Parts:
    """Build what the application works with. Raises ConfigurationError for a setting that is missing."""
    own = settings.guard
    sockets = (own.webserver_socket, own.readonly_webserver_socket)
    if own.accounts is None or sockets[0] is None or sockets[1] is None:
        raise ConfigurationError(
            "set OPS_GUARD_ACCOUNTS, OPS_GUARD_WEBSERVER_SOCKET and OPS_GUARD_READONLY_WEBSERVER_SOCKET"
        )
    urls = (settings.dagster_url, settings.dagster_readonly_url)
    is_https = own.certificate_file is not None or (settings.dagster_url or "").startswith("https:")
    if not is_https and own.listen_host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"OPS_GUARD_LISTEN_HOST is {own.listen_host}, where passwords would go unencrypted: set "
            "OPS_GUARD_CERTIFICATE_FILE and OPS_GUARD_KEY_FILE, or OPS_DAGSTER_URL to a proxy's https URL"
        )
    accounts = Accounts(own.accounts)
    sessions = Sessions(time.monotonic, own.session_seconds, own.idle_seconds)
    doorkeeper = Doorkeeper(accounts, sessions, own.accounts, is_https)
    proxy = TrustedProxy(
        addresses.networks(own.trusted_proxies, "OPS_GUARD_TRUSTED_PROXIES"),
        own.name_header,
        own.groups_header,
    )
    return Parts(
        settings=own,
        hosts=boundary.allowed_hosts(urls, (own.listen_port, own.readonly_listen_port), own.hosts),
        sessions=sessions,
        doorkeeper=doorkeeper,
        entrance=Entrance(
            accounts,
            sessions,
            doorkeeper,
            Attempts(time.monotonic),
            proxy,
            _provider(settings),
            own.reason_seconds,
        ),
        record=Record(Pool(settings.require("database_url"), application="guard", size=4)),
        webserver=Upstream(sockets[0]),
        readonly_webserver=Upstream(sockets[1]),
        metrics=GuardMetrics(),
        gate=GateAnswers(settings),
    )


def _provider(settings: Settings) -> Provider | None:
    own = settings.guard
    if own.oidc_issuer is None:
        return None
    if own.oidc_client_id is None or settings.dagster_url is None:
        raise ConfigurationError("OPS_GUARD_OIDC_ISSUER also takes OPS_GUARD_OIDC_CLIENT_ID, OPS_DAGSTER_URL")
    return Provider(
        ProviderSettings(
            own.oidc_issuer,
            own.oidc_client_id,
            own.oidc_client_secret,
            own.oidc_scope,
            own.oidc_name_claim,
            own.oidc_groups_claim,
            settings.ca_file,
        ),
        settings.dagster_url,
        time.monotonic,
    )


def server(parts: Parts, connections: Connections, limits: RequestLimits = LIMITS) -> uvicorn.Server:
    """Prepare the HTTP server; the caller runs it over the doorways. Raises ConfigurationError."""
    own = parts.settings
    return edge.server(
        Guard(parts),
        connections,
        limits,
        (own.certificate_file, own.key_file),
        "OPS_GUARD",
        websockets="websockets-sansio",
        message_bytes=own.body_bytes,
    )


async def _serve(parts: Parts, running: uvicorn.Server, doorways: Sequence[Doorway]) -> None:
    try:
        await running.serve(sockets=list(doorways))
    finally:
        await parts.webserver.close()
        await parts.readonly_webserver.close()


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, 1 when it could not start, 2 for a wrong configuration."""
    edge.guard_logs()
    try:
        settings = load_settings()
        parts = assemble(settings)
        limits = ConnectionLimits.within_descriptors(CONNECTIONS, OF_ADDRESS, 10.0)
        refused = parts.metrics.refused_connections
        connections = Connections(limits, (), lambda reason: refused.labels(reason).inc())
        running = server(parts, connections)
        doorways = [
            doorway
            for port in (settings.guard.listen_port, settings.guard.readonly_listen_port)
            for doorway in edge.listen(settings.guard.listen_host, port, connections, "OPS_GUARD_LISTEN_PORT")
        ]
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    edge.leave_signals_to_the_server()
    try:
        asyncio.run(_serve(parts, running, doorways))
    finally:
        parts.record.close()
    return 0 if running.started else 1


if __name__ == "__main__":
    sys.exit(main())
