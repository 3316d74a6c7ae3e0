"""The stack's development tokens: good for its API's own checks, and for nothing without its key."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from ops_platform.api.auth import bearer_token as identity
from ops_platform.api.auth import jwks as keys
from ops_platform.api.problems import Problem
from ops_platform.errors import ConfigurationError
from ops_platform.local.components import JWT_PUBLIC_KEY, JWT_SIGNING_KEY, signing_keys
from ops_platform.local.host.secrets import SecretStore
from ops_platform.local.servers import development_identity
from ops_platform.settings import Settings, load_settings


def environment(directory: Path) -> dict[str, str]:
    vault = SecretStore(directory / "secrets")
    signing_keys(vault, JWT_SIGNING_KEY, JWT_PUBLIC_KEY)
    jwks = directory / "api" / "jwks.json"
    development_identity.write_jwks(vault.path(JWT_PUBLIC_KEY).read_text(), jwks)
    return {
        "OPS_DATABASE_URL": "",
        "OPS_JWT_ISSUER": development_identity.ISSUER,
        "OPS_JWT_AUDIENCE": development_identity.AUDIENCE,
        "OPS_JWT_JWKS_FILE": str(jwks),
        "OPS_JWT_SIGNING_KEY_FILE": str(vault.path(JWT_SIGNING_KEY)),
    }


def checker(settings: Settings) -> identity.Identity:
    return identity.from_settings(settings.jwt, keys.from_settings(settings))


def test_the_api_believes_it(tmp_path: Path) -> None:
    settings, subject = load_settings(environment(tmp_path)), uuid4()
    token = development_identity.token(settings, subject, 60)
    assert checker(settings).subject([f"Bearer {token}"]) == subject
    late = development_identity.token(settings, subject, -60)
    with pytest.raises(Problem):
        checker(settings).subject([f"Bearer {late}"])


def test_another_stack_does_not(tmp_path: Path) -> None:
    mine, other = (load_settings(environment(tmp_path / name)) for name in ("mine", "other"))
    with pytest.raises(Problem):
        checker(mine).subject([f"Bearer {development_identity.token(other, uuid4(), 60)}"])


def test_without_a_key_it_says_what_to_do(tmp_path: Path) -> None:
    values = environment(tmp_path)
    del values["OPS_JWT_SIGNING_KEY_FILE"]
    with pytest.raises(ConfigurationError, match="ops-platform up"):
        development_identity.token(load_settings(values), uuid4(), 60)
    with pytest.raises(ConfigurationError, match="OPS_JWT_SIGNING_KEY"):
        development_identity.token(load_settings({**values, "OPS_JWT_SIGNING_KEY": "x"}), uuid4(), 60)
