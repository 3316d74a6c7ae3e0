"""Settings of a host: which duties it has, and which stanzas live on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field

from ops_platform.environment import Group
from ops_platform.errors import ConfigurationError

Duty = Literal["backup", "dr", "slo", "gdpr", "housekeeping"]
DUTIES: tuple[Duty, ...] = get_args(Duty)
SECRETS: Mapping[str, tuple[Duty, ...]] = {
    "OPS_AUDIT_SIGNING_KEY": ("housekeeping",),
    "OPS_DAGSTER_TOKEN": ("housekeeping",),
    "OPS_DR_SIGNING_KEY": ("dr",),
    "OPS_GDPR_ENCRYPTION_KEY": ("gdpr", "dr"),
    "OPS_GDPR_SIGNING_KEY": ("gdpr",),
    "OPS_PGBACKREST_CIPHER_PASS": ("backup", "dr"),
    "OPS_PROMETHEUS_BEARER_TOKEN": ("slo",),
    "OPS_PROMETHEUS_PASSWORD": ("slo",),
    "OPS_REDIS_PASSWORD": ("gdpr",),
    "OPS_REPO2_PGBACKREST_CIPHER_PASS": ("backup", "dr"),
    "OPS_REPO2_S3_BACKUP_PRUNER_SECRET_ACCESS_KEY": ("backup",),
    "OPS_REPO2_S3_BACKUP_READER_SECRET_ACCESS_KEY": ("backup", "dr"),
    "OPS_REPO2_S3_BACKUP_SECRET_ACCESS_KEY": ("backup", "dr"),
    "OPS_S3_BACKUP_PRUNER_SECRET_ACCESS_KEY": ("backup",),
    "OPS_S3_BACKUP_READER_SECRET_ACCESS_KEY": ("backup", "dr"),
    "OPS_S3_BACKUP_SECRET_ACCESS_KEY": ("backup", "dr"),
    "OPS_S3_EXPORTS_SECRET_ACCESS_KEY": ("gdpr",),
    "OPS_S3_LEDGER_SECRET_ACCESS_KEY": ("backup", "dr", "gdpr", "housekeeping"),
    "OPS_S3_MEDIA_SECRET_ACCESS_KEY": ("gdpr",),
    "OPS_SMTP_PASSWORD": ("gdpr",),
}
"""Who needs a secret; its file may be missing on a host that has none of these duties."""


class HostSettings(Group):
    """The share of this host in an installation of several; by default it has all of it."""

    duties: tuple[Duty, ...] = Field(DUTIES, validation_alias="OPS_DUTIES")
    """What this host's definitions, agent and commands do."""
    stanzas: tuple[str, ...] = Field((), validation_alias="OPS_STANZAS")
    """The stanzas of backups.yaml of which it does that; empty: all."""

    def has(self, *duties: Duty) -> bool:
        """Tell whether the host has one of ``duties``."""
        return any(duty in self.duties for duty in duties)

    def needs(self, secret: str) -> bool:
        """Tell whether a duty of the host needs the secret; one that is in no duty's list is needed."""
        return secret not in SECRETS or self.has(*SECRETS[secret])

    def require(self, duty: Duty) -> None:
        """Raise ConfigurationError unless the host has ``duty``."""
        if not self.has(duty):
            raise ConfigurationError(
                f"this host does not have the duty {duty} (OPS_DUTIES={','.join(self.duties)}): "
                "run it on one that does"
            )
