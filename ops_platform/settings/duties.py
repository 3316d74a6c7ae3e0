"""Settings of the other duties: audit ledger, recovery exercises, agent, mail and demo product."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from ops_platform.environment import Group


class SmtpSettings(Group):
    """The mail server, and how to sign in to it."""

    host: str = Field("127.0.0.1", validation_alias="OPS_SMTP_HOST")
    port: int = Field(25, validation_alias="OPS_SMTP_PORT")
    sender: str = Field("ops-platform@localhost", validation_alias="OPS_SMTP_SENDER")
    security: Literal["none", "starttls", "tls"] = Field("none", validation_alias="OPS_SMTP_SECURITY")
    username: str | None = Field(None, validation_alias="OPS_SMTP_USERNAME")
    password: SecretStr | None = Field(None, validation_alias="OPS_SMTP_PASSWORD")
    password_without_tls: bool = Field(False, validation_alias="OPS_SMTP_PASSWORD_WITHOUT_TLS")


class AuditSettings(Group):
    """The keys of the audit ledger's seals, and the retention of their copies."""

    signing_key: SecretStr | None = Field(None, validation_alias="OPS_AUDIT_SIGNING_KEY")
    """PEM of an Ed25519 private key; only the agent needs it."""
    public_key: str | None = Field(None, validation_alias="OPS_AUDIT_PUBLIC_KEY")
    """PEM of the Ed25519 public key that seals are checked with."""
    retention_days: int = Field(65, validation_alias="OPS_LEDGER_RETENTION_DAYS")
    """Term of the object lock on ledger copies: backup retention plus a margin."""


class DrSettings(Group):
    """The keys that references of a source are signed with and checked with."""

    signing_key: SecretStr | None = Field(None, validation_alias="OPS_DR_SIGNING_KEY")
    """PEM of the Ed25519 key that references of the source are signed with."""
    public_key: str | None = Field(None, validation_alias="OPS_DR_PUBLIC_KEY")


class AgentSettings(Group):
    """The agent's HTTP address, and the pauses between the rounds of its loops, in seconds."""

    listen_host: str = Field("127.0.0.1", validation_alias="OPS_AGENT_LISTEN_HOST")
    listen_port: int = Field(9187, validation_alias="OPS_AGENT_LISTEN_PORT")
    heartbeat_seconds: float = Field(10.0, validation_alias="OPS_HEARTBEAT_SECONDS")
    seal_seconds: float = Field(60.0, validation_alias="OPS_SEAL_SECONDS")
    refresh_seconds: float = Field(15.0, validation_alias="OPS_AGENT_REFRESH_SECONDS")
    """Pause between two reads of the repository (for the RPO) and of the ops database (for metrics)."""


class DemoSettings(Group):
    """The demo product: its size, its past and its made-up traffic."""

    scale: float | None = Field(None, validation_alias="OPS_DEMO_SCALE")
    """Size of the demo product's seed data; 1 is about 100 MB. None: as it was seeded before, else 1."""
    traffic_listen_host: str = Field("127.0.0.1", validation_alias="OPS_TRAFFIC_LISTEN_HOST")
    traffic_listen_port: int = Field(9188, validation_alias="OPS_TRAFFIC_LISTEN_PORT")
    traffic_rate: float = Field(4.0, validation_alias="OPS_TRAFFIC_RATE")
    """Requests a second of the traffic service."""
    traffic_seed: int = Field(1, validation_alias="OPS_TRAFFIC_SEED")
    history_days: float = Field(30, validation_alias="OPS_DEMO_HISTORY_DAYS")
    """Days of the demo product's past in the embedded Prometheus; 0: none."""
