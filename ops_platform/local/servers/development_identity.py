"""The stack's stand-in for an identity provider: one Ed25519 key, its JWKS, tokens to try things out.

Never use it in production: anybody who reads the key can act as anybody.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from uuid import UUID

from ops_platform.errors import ConfigurationError
from ops_platform.local.host import write_private
from ops_platform.settings import Settings

ISSUER = "https://development.invalid/ops-platform"
AUDIENCE = "gdpr-api"
KEY_ID = "development"
ALGORITHM = "EdDSA"


def write_jwks(public_pem: str, file: Path) -> None:
    """Write the key document that the API checks bearer tokens with."""
    import jwt
    from cryptography.hazmat.primitives import serialization

    public = serialization.load_pem_public_key(public_pem.encode())
    key = jwt.get_algorithm_by_name(ALGORITHM).to_jwk(public, as_dict=True)
    document = {"keys": [{**key, "kid": KEY_ID, "use": "sig", "alg": ALGORITHM}]}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, json.dumps(document, indent=2) + "\n", 0o644)


def token(settings: Settings, subject: UUID, seconds: int) -> str:
    """Sign a bearer token of ``subject`` for the stack's API, valid for ``seconds``.

    Raises ConfigurationError without a stack's key.
    """
    import jwt

    identity = settings.jwt
    if identity.signing_key is None or not identity.issuer or not identity.audience:
        raise ConfigurationError(
            "there is no development key: only the embedded stack signs tokens (OPS_JWT_SIGNING_KEY_FILE), "
            "start it with 'ops-platform up'"
        )
    now = int(time.time())
    claims = {
        "sub": str(subject),
        "iss": identity.issuer,
        "aud": identity.audience,
        "iat": now,
        "exp": now + seconds,
    }
    try:
        return jwt.encode(claims, identity.signing_key.get_secret_value(), ALGORITHM, headers={"kid": KEY_ID})
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ConfigurationError("OPS_JWT_SIGNING_KEY is no Ed25519 private key in PEM: correct it") from None
