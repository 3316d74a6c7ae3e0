"""The servers of the stack, one module each: configuration, command line, readiness.

Not here: who starts and ends them (``local.supervision``), and in which order (``local.start_order``).
"""

from ops_platform.local.servers.alertmanager_server import AlertmanagerServer
from ops_platform.local.servers.dagster_server import (
    code_server_answers,
    daemon_is_healthy,
    webserver_answers,
)
from ops_platform.local.servers.object_store_server import START_SECONDS, STOP_SECONDS, ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.local.servers.postgres_roles import ensure_database, run_roles
from ops_platform.local.servers.prometheus_server import PrometheusServer
from ops_platform.local.servers.redis_server import RedisServer

__all__ = [
    "START_SECONDS",
    "STOP_SECONDS",
    "AlertmanagerServer",
    "ObjectStoreServer",
    "PostgresCluster",
    "PrometheusServer",
    "RedisServer",
    "code_server_answers",
    "daemon_is_healthy",
    "dagster_server",
    "development_identity",
    "ensure_database",
    "mail_sink",
    "object_store_server",
    "run_roles",
    "webserver_answers",
]
