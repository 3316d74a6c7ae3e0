"""Sign-in at an OpenID Connect provider: authorization code with PKCE, by authlib.

What belongs to one attempt (state, nonce, verifier) is kept here, bound by a cookie to the browser that
began it.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from ops_platform.clients.json_http import trust
from ops_platform.guard.refusal import Refusal

log = logging.getLogger(__name__)

ATTEMPT_SECONDS = 600.0
MOST_ATTEMPTS = 1000
LEEWAY_SECONDS = 30
ALGORITHMS = (
    "RS256",
    "PS256",
    "ES256",
    "EdDSA",
    "Ed25519",
    "RS384",
    "RS512",
    "ES384",
    "ES512",
    "PS384",
    "PS512",
)
"""Signatures of ID tokens that are believed: with a public key, never a shared secret, never none."""
CALLBACK = "/guard/login/callback"


@dataclass(frozen=True)
class ProviderSettings:
    """The provider and what we are to it."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None
    scope: str
    name_claim: str
    groups_claim: str
    ca_file: Any = None


@dataclass
class _Attempt:
    session: dict[str, Any]
    next_path: str
    ends_at: float


class Provider:
    """One provider; it is asked for its metadata at the first sign-in."""

    def __init__(self, settings: ProviderSettings, base_url: str, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self.redirect_uri = base_url.rstrip("/") + CALLBACK
        self._attempts: OrderedDict[str, _Attempt] = OrderedDict()
        self._app = _app(settings)

    async def begin(self, request: Request, next_path: str) -> tuple[Response, str]:
        """Send the browser to the provider; return the answer, and the mark of this attempt for a cookie.

        Raises Refusal when the provider cannot be reached.
        """
        await self._metadata()
        mark, now = secrets.token_urlsafe(32), self._clock()
        attempt = _Attempt({}, next_path, now + ATTEMPT_SECONDS)
        request.scope["session"] = attempt.session
        try:
            answer: Response = await self._app.authorize_redirect(request, self.redirect_uri)
        except Exception as error:
            raise _away(error) from None
        while self._attempts and next(iter(self._attempts.values())).ends_at <= now:
            self._attempts.popitem(last=False)
        while len(self._attempts) >= MOST_ATTEMPTS:
            self._attempts.popitem(last=False)
        self._attempts[mark] = attempt
        return answer, mark

    async def end(self, request: Request, mark: str) -> tuple[str, tuple[str, ...], str]:
        """Take the browser back: return name, groups, and the path that it wanted.

        Raises Refusal for whatever is not the answer to an attempt of this browser.
        """
        attempt = self._attempts.pop(mark, None)
        if attempt is None or attempt.ends_at <= self._clock():
            raise Refusal(403, "signed-out", "This sign-in was not begun here, or is over: begin it anew.")
        issuer = request.query_params.get("iss")
        if issuer is not None and issuer != self._settings.issuer:
            raise Refusal(403, "signed-out", "The answer is another provider's: begin to sign in anew.")
        metadata = await self._metadata()
        request.scope["session"] = attempt.session
        try:
            token = await self._app.authorize_access_token(
                request,
                claims_options={
                    "iss": {"essential": True, "values": [self._settings.issuer]},
                    "aud": {"essential": True, "values": [self._settings.client_id]},
                },
                leeway=LEEWAY_SECONDS,
            )
            claims: dict[str, Any] = dict(token.get("userinfo") or {})
            subject = claims.get("sub")
            if not subject:
                raise ValueError("no ID token")
            if metadata.get("userinfo_endpoint") and not self._says_all(claims):
                more = dict(await self._app.userinfo(token=token))
                # OpenID Connect Core, 5.3.2: else it is somebody else's.
                claims = {**more, **claims} if more.get("sub") == subject else claims
        except Exception as error:
            # Its text may quote tokens.
            log.warning("a sign-in at the provider failed: %s", type(error).__name__)
            raise Refusal(403, "signed-out", "The provider's answer is not valid: begin anew.") from None
        name = claims.get(self._settings.name_claim)
        groups = claims.get(self._settings.groups_claim)
        if not isinstance(name, str) or not name:
            claim = self._settings.name_claim
            raise Refusal(403, "role", f"The provider gave no {claim}: set OPS_GUARD_OIDC_NAME_CLAIM.")
        listed = groups if isinstance(groups, list) else [groups]
        return name, tuple(one for one in listed if isinstance(one, str)), attempt.next_path

    def _says_all(self, claims: Mapping[str, Any]) -> bool:
        return self._settings.name_claim in claims and self._settings.groups_claim in claims

    async def _metadata(self) -> Mapping[str, Any]:
        try:
            metadata: dict[str, Any] = await self._app.load_server_metadata()
        except Exception as error:
            raise _away(error) from None
        if metadata.get("issuer") != self._settings.issuer:
            raise Refusal(503, "provider-away", "OPS_GUARD_OIDC_ISSUER is not what the provider says it is.")
        named = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [one for one in named if one in ALGORITHMS]
        return metadata


def _app(settings: ProviderSettings) -> Any:
    from authlib.integrations import starlette_client

    library: Any = starlette_client
    secret = settings.client_secret
    arguments: dict[str, Any] = {"scope": settings.scope, "code_challenge_method": "S256", "trust_env": False}
    if settings.issuer.startswith("https:"):
        arguments["verify"] = trust(settings.ca_file)
    return library.OAuth().register(
        "provider",
        client_id=settings.client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        server_metadata_url=settings.issuer.rstrip("/") + "/.well-known/openid-configuration",
        client_kwargs=arguments,
    )


def _away(error: Exception) -> Refusal:
    log.error("the login provider cannot be asked: %s", type(error).__name__)
    return Refusal(503, "provider-away", "The login provider does not answer: look at OPS_GUARD_OIDC_ISSUER.")
