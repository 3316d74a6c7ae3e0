"""Settings of S3, of pgBackRest and of the repositories that it writes there."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, SecretStr

from ops_platform.environment import Group
from ops_platform.errors import ConfigurationError

S3_ROLES = ("backup", "backup_reader", "backup_pruner", "media", "exports", "ledger", "logs")

BACKUP_ROLES = tuple(role for role in S3_ROLES if role.startswith("backup"))
"""The roles that have an identity of their own in each repository."""

_BUCKET = re.compile(r"OPS_S3_BACKUP\w*_BUCKET")
_BUCKET_OF_FIRST = re.compile(r"\bPGBACKREST_REPO1_")
_OF_FIRST = re.compile(r"\bOPS_(?=S3_(ENDPOINT|REGION|URI|BACKUP|DRILL)|PGBACKREST_CIPHER_PASS|CA_FILE)")


class S3Place(Group):
    """An S3 endpoint, and the authority that signed its certificate; None: AWS, and the system's."""

    endpoint_url: str | None = None
    region: str = "us-east-1"
    uri_style: str = "path"
    ca_file: Path | None = None
    repository: int = 1
    """The number of the repository whose settings this is made of."""


class S3Identity(Group):
    """One S3 identity and the one bucket it is for."""

    role: str
    bucket: str | None = None
    prefix: str = ""
    """Put before every key, so that several installations can share a bucket; ends with a slash."""
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    place: S3Place | None = None
    """Where its bucket is; None: where those of all roles are."""


class S3Settings(Group):
    """The S3 endpoint, and the identity of each role in S3_ROLES."""

    endpoint_url: str | None = Field(None, validation_alias="OPS_S3_ENDPOINT_URL")
    region: str = Field("us-east-1", validation_alias="OPS_S3_REGION")
    uri_style: str = Field("path", validation_alias="OPS_S3_URI_STYLE")
    drill_bucket: str | None = Field(None, validation_alias="OPS_S3_DRILL_BUCKET")
    """Bucket with object lock in which exercises delete a copy of the repository."""
    identities: dict[str, S3Identity] = Field({})

    def identity(self, role: str) -> S3Identity:
        """Return the identity of ``role``. Raises ConfigurationError when its bucket is not configured."""
        identity = self.identities.get(role)
        if identity is None or identity.bucket is None:
            name = f"OPS_S3_{role.upper()}_BUCKET"
            raise ConfigurationError(f"no bucket is configured for the S3 role {role}: set {name}")
        return identity


class PgBackRestSettings(Group):
    """The pgBackRest program, its configuration file and the passphrase of the repositories."""

    binary: str = Field("pgbackrest", validation_alias="OPS_PGBACKREST_BINARY")
    cipher_pass: SecretStr | None = Field(None, validation_alias="OPS_PGBACKREST_CIPHER_PASS")
    config_file: Path | None = Field(None, validation_alias="OPS_PGBACKREST_CONFIG_FILE")
    """A configuration file that somebody else maintains; None: one is rendered from backups.yaml."""
    answer_seconds: float = Field(150.0, gt=0, validation_alias="OPS_PGBACKREST_ANSWER_SECONDS")
    """Timeout of commands that only read; a listing of a very large archive may take longer."""
    stall_seconds: float = Field(600.0, gt=0, validation_alias="OPS_PGBACKREST_STALL_SECONDS")
    """Time without progress after which a restore is ended."""


class SecondRepositorySettings(Group):
    """Endpoint, identities and passphrase of the second repository, named as the first one's are."""

    endpoint_url: str | None = Field(None, validation_alias="OPS_REPO2_S3_ENDPOINT_URL")
    region: str = Field("us-east-1", validation_alias="OPS_REPO2_S3_REGION")
    uri_style: str = Field("path", validation_alias="OPS_REPO2_S3_URI_STYLE")
    drill_bucket: str | None = Field(None, validation_alias="OPS_REPO2_S3_DRILL_BUCKET")
    ca_file: Path | None = Field(None, validation_alias="OPS_REPO2_CA_FILE")
    cipher_pass: SecretStr | None = Field(None, validation_alias="OPS_REPO2_PGBACKREST_CIPHER_PASS")
    identities: dict[str, S3Identity] = Field({})

    @property
    def place(self) -> S3Place:
        """The endpoint of all its roles."""
        return S3Place(
            endpoint_url=self.endpoint_url,
            region=self.region,
            uri_style=self.uri_style,
            ca_file=self.ca_file,
            repository=2,
        )


def named_for(repository: int, text: str) -> str:
    """Name in a message the settings of the second repository where it names those of the first."""
    if repository == 1:
        return text
    text = _BUCKET.sub(f"the bucket of repository {repository} in backups.yaml", text)
    text = _OF_FIRST.sub(f"OPS_REPO{repository}_", text)
    return _BUCKET_OF_FIRST.sub(f"PGBACKREST_REPO{repository}_", text)
