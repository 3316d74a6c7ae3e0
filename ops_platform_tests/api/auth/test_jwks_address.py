"""Addresses that keys of an identity provider may be fetched from."""

from __future__ import annotations

import pytest

from ops_platform.api.auth import jwks as keys
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings


@pytest.mark.parametrize("url", ["http://keys.example/jwks", "keys.example/jwks", "file:///etc/keys"])
def test_keys_are_not_fetched_where_anybody_could_put_theirs(url: str) -> None:
    settings = load_settings({"OPS_DATABASE_URL": "unused", "OPS_JWT_JWKS_URL": url})
    with pytest.raises(ConfigurationError, match="OPS_JWT_JWKS_URL must begin with https"):
        keys.from_settings(settings)
