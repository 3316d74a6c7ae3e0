"""Settings of the guard in front of Dagster's webservers: where it listens, whom it lets in, for how long."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from ops_platform.environment import Group


class GuardSettings(Group):
    """The guard's addresses, limits and accounts, and the sockets of the webservers behind it."""

    listen_host: str = Field("127.0.0.1", validation_alias="OPS_GUARD_LISTEN_HOST")
    listen_port: int = Field(3000, validation_alias="OPS_GUARD_LISTEN_PORT")
    readonly_listen_port: int = Field(3001, validation_alias="OPS_GUARD_READONLY_LISTEN_PORT")
    """Port of the auditors' door, at which nobody changes anything."""
    certificate_file: Path | None = Field(None, validation_alias="OPS_GUARD_CERTIFICATE_FILE")
    """Chain in PEM; without it the guard speaks plain HTTP, for loopback or a proxy on the same machine."""
    key_file: Path | None = Field(None, validation_alias="OPS_GUARD_KEY_FILE")
    webserver_socket: Path | None = Field(None, validation_alias="OPS_GUARD_WEBSERVER_SOCKET")
    """Unix socket of the webserver; operators and admins are sent there."""
    readonly_webserver_socket: Path | None = Field(
        None, validation_alias="OPS_GUARD_READONLY_WEBSERVER_SOCKET"
    )
    """Unix socket of the webserver that runs with ``--read-only``; viewers are sent there."""
    accounts: Path | None = Field(None, validation_alias="OPS_GUARD_ACCOUNTS")
    """YAML file of people and programs, their roles, and hashes of passwords and tokens."""
    hosts: tuple[str, ...] = Field((), validation_alias="OPS_GUARD_HOSTS")
    """Further names, with their port, by which browsers reach the guard."""
    trusted_proxies: tuple[str, ...] = Field((), validation_alias="OPS_GUARD_TRUSTED_PROXIES")
    """Addresses or networks whose headers of name and groups are believed."""
    name_header: str = Field("X-Forwarded-Preferred-Username", validation_alias="OPS_GUARD_NAME_HEADER")
    groups_header: str = Field("X-Forwarded-Groups", validation_alias="OPS_GUARD_GROUPS_HEADER")
    oidc_issuer: str | None = Field(None, validation_alias="OPS_GUARD_OIDC_ISSUER")
    """URL of the OpenID Connect provider; None: there is none."""
    oidc_client_id: str | None = Field(None, validation_alias="OPS_GUARD_OIDC_CLIENT_ID")
    oidc_client_secret: SecretStr | None = Field(None, validation_alias="OPS_GUARD_OIDC_CLIENT_SECRET")
    oidc_scope: str = Field("openid profile", validation_alias="OPS_GUARD_OIDC_SCOPE")
    oidc_name_claim: str = Field("preferred_username", validation_alias="OPS_GUARD_OIDC_NAME_CLAIM")
    oidc_groups_claim: str = Field("groups", validation_alias="OPS_GUARD_OIDC_GROUPS_CLAIM")
    session_seconds: float = Field(28800.0, validation_alias="OPS_GUARD_SESSION_SECONDS", gt=0)
    """A session's longest life."""
    idle_seconds: float = Field(3600.0, validation_alias="OPS_GUARD_IDLE_SECONDS", gt=0)
    """A session that asks nothing for so long is over."""
    reason_seconds: float = Field(900.0, validation_alias="OPS_GUARD_REASON_SECONDS", gt=0)
    """A reason that was given at /guard/reason counts for so long."""
    body_bytes: int = Field(1 << 20, validation_alias="OPS_GUARD_BODY_BYTES", ge=1024)
    """Size of a request's body, and of a message of a subscription."""
