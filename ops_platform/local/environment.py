"""The environments of a stack: the operator's, and one for each of its own processes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ops_platform.environment import read_environment_file
from ops_platform.local.components import (
    CIPHER_PASS,
    DR_PUBLIC_KEY,
    DR_SIGNING_KEY,
    GDPR_ENCRYPTION_KEY,
    GDPR_PUBLIC_KEY,
    GDPR_SIGNING_KEY,
    JWT_SIGNING_KEY,
    PUBLIC_KEY,
    SIGNING_KEY,
    Parts,
)
from ops_platform.local.host import write_private
from ops_platform.local.servers import development_identity
from ops_platform.local.supervision import search_path
from ops_platform.settings import Settings

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
    "OPS_API_PRIVACY_NOTICE_URL",
    "OPS_API_CONSENT_VERSION",
)
"""The operator's own choices at ``up``; kept in the environment file, so the next ``up`` has them too."""


PRIVACY_NOTICE = "https://example.org/privacy"
"""The demo product has none."""


def choices(settings: Settings) -> dict[str, str]:
    """What the operator chose, from his environment or from the last ``up``."""
    return {name: settings.environ[name].get_secret_value() for name in PASSED_ON if name in settings.environ}


def common(parts: Parts, chosen: Mapping[str, str]) -> dict[str, str]:
    """What every process may know: addresses and places, no secret and no role."""
    values = {
        "OPS_STATE_DIR": str(parts.layout.state_dir),
        "OPS_CA_FILE": str(parts.certificates.ca_file),
        "OPS_PGBACKREST_BINARY": parts.product.pgbackrest,
        "OPS_PROMETHEUS_URL": parts.prometheus.url,
        "OPS_ALERTMANAGER_URL": parts.alertmanager.url,
        "OPS_API_URL": parts.api_url,
        "OPS_JWT_ISSUER": development_identity.ISSUER,
        "OPS_JWT_AUDIENCE": development_identity.AUDIENCE,
        "OPS_DAGSTER_URL": parts.url("webserver"),
        "OPS_DAGSTER_READONLY_URL": parts.url("webserver-readonly"),
        "OPS_METRICS_URL": f"{parts.url('agent')}/metrics",
        "OPS_MAIL_DIR": str(parts.layout.mail),
        "OPS_SMTP_HOST": "127.0.0.1",
        "OPS_SMTP_PORT": str(parts.ports["mail"]),
        "OPS_AUDIT_PUBLIC_KEY_FILE": str(parts.secrets.path(PUBLIC_KEY)),
        "OPS_DR_PUBLIC_KEY_FILE": str(parts.secrets.path(DR_PUBLIC_KEY)),
        "OPS_GDPR_PUBLIC_KEY_FILE": str(parts.secrets.path(GDPR_PUBLIC_KEY)),
        **parts.object_store.endpoint_environment(),
        **chosen,
    }
    for cluster in (parts.product, parts.ops):
        prefix = f"OPS_{cluster.name.upper()}"
        values |= {
            f"{prefix}_DATA_DIR": str(cluster.data_dir),
            f"{prefix}_SOCKET_DIR": str(cluster.socket_dir),
            f"{prefix}_PORT": str(cluster.port),
        }
    return values


def operator(parts: Parts, chosen: Mapping[str, str]) -> dict[str, str]:
    """For people and the command line: the workers' role, and the owners' for migrations."""
    return {
        **common(parts, chosen),
        **_databases(parts, "ops_worker"),
        "OPS_OWNER_DATABASE_URL": parts.ops.url("ops_owner"),
        "OPS_PRODUCT_OWNER_DATABASE_URL": parts.product.url("ops_owner"),
        **_identities(parts, "backup", "backup_reader", "media", "exports", "ledger", "logs"),
        **_cipher(parts),
        **_dr_key(parts),
        **_erasure(parts),
        **parts.redis.settings_environment(),
        "OPS_JWT_SIGNING_KEY_FILE": str(parts.secrets.path(JWT_SIGNING_KEY)),
    }


def agent(parts: Parts, chosen: Mapping[str, str]) -> dict[str, str]:
    """The agent beats, looks, seals and deletes exports in time: it alone has the signing key."""
    return {
        **common(parts, chosen),
        **_databases(parts, "ops_agent"),
        **_identities(parts, "backup", "exports", "ledger"),
        **_cipher(parts),
        "OPS_AUDIT_SIGNING_KEY_FILE": str(parts.secrets.path(SIGNING_KEY)),
        "OPS_AGENT_LISTEN_PORT": str(parts.ports["agent"]),
    }


def traffic(parts: Parts, chosen: Mapping[str, str]) -> dict[str, str]:
    """The demo product's application: knows nothing of the platform."""
    return {
        # Set, though empty: settings would otherwise take the operator's file as defaults.
        "OPS_DATABASE_URL": "",
        "OPS_STATE_DIR": str(parts.layout.state_dir),
        "OPS_CA_FILE": str(parts.certificates.ca_file),
        "OPS_PRODUCT_DATABASE_URL": parts.product.url("product_app"),
        "OPS_TRAFFIC_LISTEN_PORT": str(parts.ports["traffic"]),
        **parts.object_store.endpoint_environment(),
        **_identities(parts, "media"),
        **parts.redis.settings_environment(),
        **{name: value for name, value in chosen.items() if name.startswith(("OPS_DEMO_", "OPS_TRAFFIC_"))},
    }


def api(parts: Parts, chosen: Mapping[str, str]) -> dict[str, str]:
    """The data subjects' API: requests in the ops database, one address in the product's, Redis, links."""
    return {
        "OPS_API_PRIVACY_NOTICE_URL": PRIVACY_NOTICE,
        **common(parts, chosen),
        **_databases(parts, "ops_api"),
        **_identities(parts, "exports"),
        **parts.redis.settings_environment(),
        "OPS_API_LISTEN_PORT": str(parts.ports["api"]),
        "OPS_API_METRICS_LISTEN_PORT": str(parts.ports["api-metrics"]),
        "OPS_API_CERTIFICATE_FILE": str(parts.api_certificate.certificate),
        "OPS_API_KEY_FILE": str(parts.api_certificate.key),
        "OPS_JWT_JWKS_FILE": str(parts.jwks_file),
    }


def dagster(parts: Parts, chosen: Mapping[str, str]) -> dict[str, str]:
    """Code server, webservers, daemon and the runs they start."""
    store = parts.object_store
    # Dagster opens a connection for each statement: over TLS that is most of its time.
    storage = parts.ops.socket_url("ops_dagster", "dagster").replace(
        "postgresql://", "postgresql+psycopg2://", 1
    )
    return {
        **common(parts, chosen),
        **_databases(parts, "ops_worker"),
        **_identities(parts, "backup", "backup_reader", "media", "exports", "ledger"),
        **_cipher(parts),
        **_dr_key(parts),
        **_erasure(parts),
        **parts.redis.settings_environment(),
        "DAGSTER_HOME": str(parts.layout.dagster_home),
        "OPS_DAGSTER_STORAGE_URL": storage,
        "OPS_CODE_SERVER_PORT": str(parts.ports["code-server"]),
        "OPS_COMPUTE_LOG_DIR": str(parts.layout.compute_logs),
        "OPS_S3_LOGS_BUCKET": store.bucket("logs"),
        # Dagster's compute log manager takes boto3's own variables.
        "AWS_ACCESS_KEY_ID": store.access_key_id("logs"),
        "AWS_SECRET_ACCESS_KEY": store.secret_access_key("logs"),
        "AWS_EC2_METADATA_DISABLED": "true",
        # A backfill of a month writes thousands of events: not each in a transaction of its own.
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        # Nor that each of its hours is planned; a run that fails is shown as such, its hours as they were.
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
    }


def process(values: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of one of our Python processes: ``values`` and a clean base."""
    return {
        "PATH": search_path(),
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **values,
    }


def write(parts: Parts, chosen: Mapping[str, str]) -> None:
    """Write ``environment`` and ``env/*.env``, mode 0600."""
    files = {
        parts.layout.environment_file: operator(parts, chosen),
        parts.layout.env / "agent.env": agent(parts, chosen),
        parts.layout.env / "api.env": api(parts, chosen),
        parts.layout.env / "dagster.env": dagster(parts, chosen),
        parts.layout.env / "traffic.env": traffic(parts, chosen),
    }
    for path, values in files.items():
        write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def export_lines(file: Path) -> list[str]:
    """``export NAME=value`` for a POSIX shell, of an environment file."""
    return [f"export {name}={shlex.quote(value)}" for name, value in read_environment_file(file).items()]


def _databases(parts: Parts, role: str) -> dict[str, str]:
    return {
        "OPS_DATABASE_URL": parts.ops.url(role),
        "OPS_PRODUCT_DATABASE_URL": parts.product.url(role),
    }


def _identities(parts: Parts, *roles: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for role in roles:
        values |= parts.object_store.identity_environment(role)
    return values


def _dr_key(parts: Parts) -> dict[str, str]:
    return {"OPS_DR_SIGNING_KEY_FILE": str(parts.secrets.path(DR_SIGNING_KEY))}


def _erasure(parts: Parts) -> dict[str, str]:
    """Who erases: a database role of its own, the key of tombstones and the one of certificates."""
    return {
        "OPS_PRODUCT_ERASER_DATABASE_URL": parts.product.url("ops_eraser"),
        "OPS_GDPR_ENCRYPTION_KEY_FILE": str(parts.secrets.path(GDPR_ENCRYPTION_KEY)),
        "OPS_GDPR_SIGNING_KEY_FILE": str(parts.secrets.path(GDPR_SIGNING_KEY)),
    }


def _cipher(parts: Parts) -> dict[str, str]:
    return {"OPS_PGBACKREST_CIPHER_PASS_FILE": str(parts.secrets.path(CIPHER_PASS))}
