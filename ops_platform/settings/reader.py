"""The one place that reads the environment: no other module reads ``os.environ``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from ops_platform.environment import Environment, read_environment_file
from ops_platform.settings.host import HostSettings
from ops_platform.settings.object_storage import (
    BACKUP_ROLES,
    S3_ROLES,
    S3Identity,
    S3Settings,
    SecondRepositorySettings,
)
from ops_platform.settings.process import LIBPQ_TARGETS, PRODUCT_URLS, Settings

ENVIRONMENT_FILE = "environment"


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Return ``/var/lib/ops-platform`` for root, else the directory that XDG prescribes for state.

    PostgreSQL's user cannot reach /root.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/ops-platform")
    base = environ.get("XDG_STATE_HOME") or str(
        Path(environ.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(base) / "ops-platform"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environ`` (default: the process's own environment).

    Works with an empty environment. Raises ConfigurationError on a malformed number, a
    ``_FILE`` that cannot be read, or a variable given in both forms.
    """
    given = dict(os.environ if environ is None else environ)
    state_dir, variables = _with_stack(given)
    host = Environment(variables).group(HostSettings)
    # What libpq's own variables name is meant for every role; a file of stanzas may go on naming the stack's.
    elsewhere = any(name in given for name in LIBPQ_TARGETS)
    environment = Environment(
        {
            name: value
            for name, value in variables.items()
            if (name in given or not (elsewhere and name in PRODUCT_URLS))
            and not _is_elsewhere(name, value, host)
        }
    )
    run_as = environment.text("OPS_RUN_AS_USER") or "postgres"
    identities = {role: _identity(environment, role) for role in S3_ROLES}
    of_second = {role: _identity(environment, role, "REPO2_") for role in BACKUP_ROLES}
    return environment.group(
        Settings,
        environ={name: SecretStr(value) for name, value in variables.items()},
        state_dir=state_dir,
        host=host,
        run_as=run_as if os.geteuid() == 0 else None,
        s3=environment.group(S3Settings, identities=identities),
        second_repository=environment.group(SecondRepositorySettings, identities=of_second),
    )


def load_host(environ: Mapping[str, str] | None = None) -> HostSettings:
    """Read the duties and stanzas of this host alone, whatever else is set. Raises ConfigurationError."""
    _, variables = _with_stack(dict(os.environ if environ is None else environ))
    return Environment(variables).group(HostSettings)


def _is_elsewhere(name: str, value: str, host: HostSettings) -> bool:
    """Tell whether a variable names the file of a secret that only other hosts need, and hold."""
    secret = name.removesuffix("_FILE")
    return secret != name and not host.needs(secret) and not Path(value).exists()


def _with_stack(given: dict[str, str]) -> tuple[Path, dict[str, str]]:
    """Find the state directory, and add what the stack in it has set to what is ``given``."""
    state_dir = Path(given.get("OPS_STATE_DIR") or default_state_dir(given))
    if "OPS_DATABASE_URL" in given:
        return state_dir, given
    stack = _environment_file(state_dir / ENVIRONMENT_FILE)
    return state_dir, {**_stack_defaults(stack, given), **given}


def _stack_defaults(stack: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Select from a stack's environment file what may serve as default beside ``variables``.

    A product database that is named there is meant for every role: the stack's own is then neither
    migrated nor erased from.
    """
    other_product = "OPS_PRODUCT_DATABASE_URL" in variables
    return {name: value for name, value in stack.items() if not (other_product and name in PRODUCT_URLS)}


def _environment_file(path: Path) -> dict[str, str]:
    try:
        return read_environment_file(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}


def _identity(environment: Environment, role: str, of: str = "") -> S3Identity:
    """Read the identity of a role; the bucket of a second repository's is in backups.yaml alone."""
    prefix, first = f"OPS_{of}S3_{role.upper()}", not of
    bucket = environment.text(f"{prefix}_BUCKET") if first else None
    if first and role in BACKUP_ROLES:
        bucket = bucket or environment.text("PGBACKREST_REPO1_S3_BUCKET")
    return S3Identity(
        role=role,
        bucket=bucket,
        prefix=(environment.text(f"{prefix}_PREFIX") or "") if first else "",
        access_key_id=environment.text(f"{prefix}_ACCESS_KEY_ID"),
        secret_access_key=environment.secret(f"{prefix}_SECRET_ACCESS_KEY"),
    )
