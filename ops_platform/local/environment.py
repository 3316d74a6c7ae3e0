"""Environments of a stack: the operator's, and one for each of its own processes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ops_platform.environment import read_environment_file
from ops_platform.local import guard_accounts
from ops_platform.local.components import (
    CIPHER_PASS,
    DR_PUBLIC_KEY,
    DR_SIGNING_KEY,
    GDPR_ENCRYPTION_KEY,
    GDPR_PUBLIC_KEY,
    GDPR_SIGNING_KEY,
    JWT_SIGNING_KEY,
    PUBLIC_KEY,
    SECOND_CIPHER_PASS,
    SIGNING_KEY,
    Components,
)
from ops_platform.local.host import write_private
from ops_platform.local.servers import development_identity
from ops_platform.local.servers.object_store_server import DRILL, REGION
from ops_platform.local.supervision import search_path
from ops_platform.settings import BACKUP_ROLES, S3_ROLES, Settings

PASSED_ON = (
    "OPS_CONFIG_DIR",
    "OPS_RUN_AS_USER",
    "OPS_HEARTBEAT_SECONDS",
    "OPS_SEAL_SECONDS",
    "OPS_AGENT_REFRESH_SECONDS",
    "OPS_LEDGER_RETENTION_DAYS",
    "OPS_DEMO_SCALE",
    "OPS_DEMO_HISTORY_DAYS",
    "OPS_TRAFFIC_RATE",
    "OPS_TRAFFIC_SEED",
    "OPS_API_RATE_LIMIT",
    "OPS_API_TRUSTED_PROXIES",
    "OPS_API_CONNECTIONS",
    "OPS_API_CONNECTIONS_PER_ADDRESS",
    "OPS_GUARD_HOSTS",
    "OPS_GUARD_SESSION_SECONDS",
    "OPS_GUARD_IDLE_SECONDS",
    "OPS_GUARD_REASON_SECONDS",
    "OPS_API_PRIVACY_NOTICE_URL",
    "OPS_API_CONSENT_VERSION",
    "OPS_PAGE_NAME",
    "OPS_PAGE_COLOUR",
    "OPS_PAGE_LOGO_FILE",
    "OPS_PAGE_CONTACT",
    "OPS_PAGE_TEXTS_FILE",
)
"""The operator's own choices at ``up``; kept in the environment file, so the next ``up`` has them too."""


PRIVACY_NOTICE = "https://example.org/privacy"
"""Placeholder: the demo product has no notice of its own."""


def choices(settings: Settings) -> dict[str, str]:
    """Read the operator's choices, from the environment or from the last ``up``."""
    return {name: settings.environ[name].get_secret_value() for name in PASSED_ON if name in settings.environ}


def common(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the variables that every process may have: addresses and paths, no secret and no role."""
    values = {
        "OPS_STATE_DIR": str(components.layout.state_dir),
        "OPS_CA_FILE": str(components.certificates.ca_file),
        "OPS_PGBACKREST_BINARY": components.product.pgbackrest,
        "OPS_PROMETHEUS_URL": components.prometheus.url,
        "OPS_ALERTMANAGER_URL": components.alertmanager.url,
        "OPS_API_URL": components.api_url,
        "OPS_JWT_ISSUER": development_identity.ISSUER,
        "OPS_JWT_AUDIENCE": development_identity.AUDIENCE,
        "OPS_DAGSTER_URL": components.url("webserver"),
        "OPS_DAGSTER_READONLY_URL": components.url("webserver-readonly"),
        "OPS_METRICS_URL": f"{components.url('agent')}/metrics",
        "OPS_MAIL_DIR": str(components.layout.mail),
        "OPS_SMTP_HOST": "127.0.0.1",
        "OPS_SMTP_PORT": str(components.ports["mail"]),
        "OPS_AUDIT_PUBLIC_KEY_FILE": str(components.secrets.path(PUBLIC_KEY)),
        "OPS_DR_PUBLIC_KEY_FILE": str(components.secrets.path(DR_PUBLIC_KEY)),
        "OPS_GDPR_PUBLIC_KEY_FILE": str(components.secrets.path(GDPR_PUBLIC_KEY)),
        **components.object_store.endpoint_environment(),
        **chosen,
    }
    if components.second_store is not None:
        values |= {
            "OPS_REPO2_S3_ENDPOINT_URL": components.second_store.endpoint_url,
            "OPS_REPO2_S3_REGION": REGION,
            "OPS_REPO2_CA_FILE": str(components.certificates.ca_file),
            "OPS_REPO2_S3_DRILL_BUCKET": components.second_store.bucket(DRILL),
            "PGBACKREST_REPO2_S3_BUCKET": components.second_store.bucket("backup"),
        }
    for cluster in (components.product, components.ops):
        prefix = f"OPS_{cluster.name.upper()}"
        values |= {
            f"{prefix}_DATA_DIR": str(cluster.data_dir),
            f"{prefix}_SOCKET_DIR": str(cluster.socket_dir),
            f"{prefix}_PORT": str(cluster.port),
        }
    return values


def operator(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the variables of the command line: the workers' role, and the owners' for migrations."""
    return {
        **common(components, chosen),
        **_databases(components, "ops_worker"),
        "OPS_OWNER_DATABASE_URL": components.ops.url("ops_owner"),
        "OPS_ANALYST_DATABASE_URL": components.ops.url("ops_analyst"),
        "OPS_PRODUCT_OWNER_DATABASE_URL": components.product.url("ops_owner"),
        **_identities(components, *S3_ROLES),
        **_cipher(components),
        **_dr_key(components),
        **_erasure(components),
        **components.redis.settings_environment(),
        "OPS_JWT_SIGNING_KEY_FILE": str(components.secrets.path(JWT_SIGNING_KEY)),
        # Not a file's name: whoever asks Dagster by a program of their own sends it.
        "OPS_DAGSTER_TOKEN": components.secrets.token(guard_accounts.OPERATOR_TOKEN),
    }


def agent(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the agent's variables; it alone has the signing key of the audit ledger."""
    return {
        **common(components, chosen),
        **_databases(components, "ops_agent"),
        **_identities(components, "backup", "backup_reader", "exports", "ledger"),
        **_cipher(components),
        "OPS_AUDIT_SIGNING_KEY_FILE": str(components.secrets.path(SIGNING_KEY)),
        "OPS_AGENT_LISTEN_PORT": str(components.ports["agent"]),
        "OPS_DAGSTER_TOKEN_FILE": str(components.secrets.path(guard_accounts.AGENT_TOKEN)),
    }


def guard(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the variables of the guard before Dagster: the ledger to write to, the sockets behind it."""
    return {
        **common(components, chosen),
        "OPS_DATABASE_URL": components.ops.url("ops_guard"),
        "OPS_GUARD_LISTEN_PORT": str(components.ports["webserver"]),
        "OPS_GUARD_READONLY_LISTEN_PORT": str(components.ports["webserver-readonly"]),
        "OPS_GUARD_WEBSERVER_SOCKET": str(components.webserver_socket("webserver")),
        "OPS_GUARD_READONLY_WEBSERVER_SOCKET": str(components.webserver_socket("webserver-readonly")),
        "OPS_GUARD_ACCOUNTS": str(guard_accounts.file(components.secrets)),
    }


def traffic(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the variables of the demo product's application, which knows nothing of the platform."""
    return {
        # Set, though empty: settings would otherwise take the operator's file as defaults.
        "OPS_DATABASE_URL": "",
        "OPS_STATE_DIR": str(components.layout.state_dir),
        "OPS_CA_FILE": str(components.certificates.ca_file),
        "OPS_PRODUCT_DATABASE_URL": components.product.url("product_app"),
        "OPS_TRAFFIC_LISTEN_PORT": str(components.ports["traffic"]),
        **components.object_store.endpoint_environment(),
        **_identities(components, "media"),
        **components.redis.settings_environment(),
        **{name: value for name, value in chosen.items() if name.startswith(("OPS_DEMO_", "OPS_TRAFFIC_"))},
    }


def api(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the variables of the data subjects' API: both databases, Redis, the exports' bucket."""
    return {
        "OPS_API_PRIVACY_NOTICE_URL": PRIVACY_NOTICE,
        **common(components, chosen),
        **_databases(components, "ops_api"),
        **_identities(components, "exports"),
        **components.redis.settings_environment(),
        "OPS_API_LISTEN_PORT": str(components.ports["api"]),
        "OPS_API_METRICS_LISTEN_PORT": str(components.ports["api-metrics"]),
        "OPS_API_CERTIFICATE_FILE": str(components.api_certificate.certificate),
        "OPS_API_KEY_FILE": str(components.api_certificate.key),
        "OPS_JWT_JWKS_FILE": str(components.jwks_file),
    }


def dagster(components: Components, chosen: Mapping[str, str]) -> dict[str, str]:
    """Make the variables of code server, webservers, daemon and the runs that they start."""
    store = components.object_store
    # Dagster opens a connection for each statement: over TLS that is most of its time.
    storage = components.ops.socket_url("ops_dagster", "dagster").replace(
        "postgresql://", "postgresql+psycopg2://", 1
    )
    return {
        **common(components, chosen),
        **_databases(components, "ops_worker"),
        **_identities(components, *(role for role in S3_ROLES if role != "logs")),
        **_cipher(components),
        **_dr_key(components),
        **_erasure(components),
        **components.redis.settings_environment(),
        "DAGSTER_HOME": str(components.layout.dagster_home),
        "OPS_DAGSTER_STORAGE_URL": storage,
        "OPS_CODE_SERVER_PORT": str(components.ports["code-server"]),
        "OPS_COMPUTE_LOG_DIR": str(components.layout.compute_logs),
        "OPS_S3_LOGS_BUCKET": store.bucket("logs"),
        # Dagster's compute log manager takes boto3's own variables.
        "AWS_ACCESS_KEY_ID": store.access_key_id("logs"),
        "AWS_SECRET_ACCESS_KEY": store.secret_access_key("logs"),
        "AWS_EC2_METADATA_DISABLED": "true",
        # A backfill of a month writes thousands of events: not each in a transaction of its own.
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        # A launch on a busy host takes longer than Dagster's minute; then it would be tried again and again.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "180",
        # Nor an event for each planned hour; a failed run is shown as such, its hours as they were.
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
    }


def process(values: Mapping[str, str]) -> dict[str, str]:
    """Make the whole environment of one of our Python processes: ``values`` on a clean base."""
    return {
        "PATH": search_path(),
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **values,
    }


def write(components: Components, chosen: Mapping[str, str]) -> None:
    """Write ``environment`` and ``env/*.env``, mode 0600."""
    files = {
        components.layout.environment_file: operator(components, chosen),
        components.layout.env / "agent.env": agent(components, chosen),
        components.layout.env / "api.env": api(components, chosen),
        components.layout.env / "guard.env": guard(components, chosen),
        components.layout.env / "dagster.env": dagster(components, chosen),
        components.layout.env / "traffic.env": traffic(components, chosen),
    }
    for path, values in files.items():
        write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def export_lines(file: Path) -> list[str]:
    """Write the lines ``export NAME=value`` of an environment file, for a POSIX shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in read_environment_file(file).items()]


def _databases(components: Components, role: str) -> dict[str, str]:
    return {
        "OPS_DATABASE_URL": components.ops.url(role),
        "OPS_PRODUCT_DATABASE_URL": components.product.url(role),
    }


def _identities(components: Components, *roles: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for role in roles:
        values |= components.object_store.identity_environment(role)
        if components.second_store is not None and role in BACKUP_ROLES:
            of_second = components.second_store.identity_environment(role)
            values |= {
                name.replace("OPS_S3_", "OPS_REPO2_S3_"): value
                for name, value in of_second.items()
                if not name.endswith("_BUCKET")
            }
    return values


def _dr_key(components: Components) -> dict[str, str]:
    return {"OPS_DR_SIGNING_KEY_FILE": str(components.secrets.path(DR_SIGNING_KEY))}


def _erasure(components: Components) -> dict[str, str]:
    """Make the variables of an erasure: its own database role, the keys of tombstones and certificates."""
    return {
        "OPS_PRODUCT_ERASER_DATABASE_URL": components.product.url("ops_eraser"),
        "OPS_GDPR_ENCRYPTION_KEY_FILE": str(components.secrets.path(GDPR_ENCRYPTION_KEY)),
        "OPS_GDPR_SIGNING_KEY_FILE": str(components.secrets.path(GDPR_SIGNING_KEY)),
    }


def _cipher(components: Components) -> dict[str, str]:
    values = {"OPS_PGBACKREST_CIPHER_PASS_FILE": str(components.secrets.path(CIPHER_PASS))}
    if components.second_store is not None:
        values["OPS_REPO2_PGBACKREST_CIPHER_PASS_FILE"] = str(components.secrets.path(SECOND_CIPHER_PASS))
    return values
