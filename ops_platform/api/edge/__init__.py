"""The edge of the API: limits of connections, sizes and times, security headers, rate limits.

Every request passes it before its endpoint, and gets an answer whatever happens inside. Endpoints are in
``api.routes``.
"""

from ops_platform.api.edge.connections import ConnectionLimits, Connections, Doorway
from ops_platform.api.edge.http_protocol import RequestLimits, protocol
from ops_platform.api.edge.serving import guard_logs, leave_signals_to_the_server, listen, server
from ops_platform.api.edge.shield import BodyTooLarge, Shield, too_large, unexpected

__all__ = [
    "BodyTooLarge",
    "ConnectionLimits",
    "Connections",
    "Doorway",
    "RequestLimits",
    "Shield",
    "guard_logs",
    "guards",
    "leave_signals_to_the_server",
    "listen",
    "protocol",
    "server",
    "too_large",
    "unexpected",
]
