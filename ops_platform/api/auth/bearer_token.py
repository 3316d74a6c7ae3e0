"""The subject of a bearer JWT, a UUID. Only the signature and the signed claims are trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import jwt

from ops_platform.api.auth.jwks import KeySet
from ops_platform.api.problems import unauthorized
from ops_platform.errors import ConfigurationError
from ops_platform.settings import JwtSettings

# Asymmetric algorithms only: with HS256 the public key would be the secret.
ALLOWABLE = frozenset(
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
LONGEST_TOKEN = 8192
TYPES = frozenset(["jwt", "at+jwt", "application/at+jwt"])
"""``typ`` of a token that grants access (RFC 9068); one made for a logout or a proof is signed as well."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """The requirements on a token. Build it with ``from_settings``, which checks them."""

    keys: KeySet
    issuer: str
    audience: str
    algorithms: Sequence[str]
    leeway_seconds: float

    def subject(self, authorization: Sequence[str]) -> UUID:
        """Return the subject that the ``Authorization`` headers prove.

        Raises Problem 401, with the same text whatever is wrong with the token, and Unavailable when the keys
        cannot be read.
        """
        if not authorization:
            raise unauthorized("Send a bearer token.", attempted=False)
        scheme, _, token = authorization[0].partition(" ")
        token = token.strip()
        if len(authorization) > 1 or scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN:
            raise unauthorized("Send one bearer token.", attempted=False)
        subject = self._claimed(token)
        if not isinstance(subject, str) or not _UUID.fullmatch(subject):
            raise _invalid()
        return UUID(subject)

    def _claimed(self, token: str) -> object:
        try:
            header = jwt.get_unverified_header(token)
            key_id = header.get("kid")
            # Checked before the key is looked up: a forbidden algorithm is not worth a fetch.
            if header.get("alg") not in self.algorithms or str(header.get("typ", "JWT")).lower() not in TYPES:
                raise _invalid()
            key = self.keys.find(key_id if isinstance(key_id, str) else None)
            if key is None:
                raise _invalid()
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self.algorithms),
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _invalid() from None
        return claims.get("sub")


def _invalid() -> Exception:
    return unauthorized("The bearer token is not valid, or no longer. Sign in again.", attempted=True)


def from_settings(settings: JwtSettings, keys: KeySet) -> Identity:
    """Build the requirements on tokens from settings.

    Raises ConfigurationError when issuer, audience or algorithms are missing or unsafe.
    """
    if not settings.issuer or not settings.audience:
        raise ConfigurationError("OPS_JWT_ISSUER and OPS_JWT_AUDIENCE are not set: say whose tokens count")
    unsafe = sorted(set(settings.algorithms) - ALLOWABLE)
    if unsafe or not settings.algorithms:
        raise ConfigurationError(
            f"OPS_JWT_ALGORITHMS may not name {', '.join(unsafe) or 'nothing'}: use RS256, ES256 or EdDSA"
        )
    return Identity(keys, settings.issuer, settings.audience, settings.algorithms, settings.leeway_seconds)
