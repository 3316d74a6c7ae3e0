"""The identity provider's public keys (JWKS), from a file or a URL, read again when they rotate."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.settings import Settings

log = logging.getLogger(__name__)

FRESH_SECONDS = 300.0
"""After this time the keys are read again, so that a withdrawn key is no longer accepted."""
STALE_SECONDS = 1200.0
"""An outage of the identity provider signs nobody out for this time."""
AGAIN_SECONDS = 10.0
"""Shortest pause between two reads of the keys, whatever key ids tokens make up."""
LARGEST_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 5.0
KEY_TYPES = ("RSA", "EC", "OKP")
"""Never ``oct``: a shared secret in a public document would let anybody sign."""


class KeySet:
    """Keys by id. ``read`` fetches the document's text and raises Unavailable."""

    def __init__(self, read: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key with that id, without an id the only key; None when there is no such key.

        Raises Unavailable when the keys could not be read for STALE_SECONDS.
        """
        if not self._is_fresh(key_id):
            # A slow provider holds up the request that reads the keys, but no request whose key is known.
            is_known = self._pick(key_id) is not None and not self._is_stale()
            if self._lock.acquire(blocking=not is_known):
                try:
                    if not self._is_fresh(key_id):
                        self._refresh()
                finally:
                    self._lock.release()
        if self._is_stale():
            raise Unavailable("the keys of the identity provider cannot be read: see OPS_JWT_JWKS_*")
        return self._pick(key_id)

    def check(self) -> None:
        """Raise Unavailable when there are no keys to check a token with."""
        self.find(None)

    def _is_fresh(self, key_id: str | None) -> bool:
        return self._clock() - self._read_at < FRESH_SECONDS and self._pick(key_id) is not None

    def _is_stale(self) -> bool:
        return self._clock() - self._read_at >= STALE_SECONDS

    def _pick(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._tried_at < AGAIN_SECONDS:
            return
        self._tried_at = now
        try:
            self._keys = parse(self._read())
            self._read_at = now
        except Unavailable as error:
            log.warning("keys: %s", error)


def parse(text: str) -> dict[str | None, jwt.PyJWK]:
    """Read the signature keys of a JWKS document, by id; leave out those that cannot be used.

    Raises Unavailable when it is not such a document, holds no key, or two of the same id: which of them
    signed a token would then depend on their order.
    """
    try:
        entries = json.loads(text)["keys"]
        named = [(entry.get("kid"), key) for entry in entries if (key := _key(entry)) is not None]
        keys = dict(named)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unavailable(
            "the identity provider's key document is not a JWKS: correct OPS_JWT_JWKS_*"
        ) from None
    if len(keys) < len(named):
        raise Unavailable(
            "the identity provider's JWKS holds two keys of one id: withdraw one of them, or correct "
            "OPS_JWT_JWKS_*"
        )
    if not keys:
        raise Unavailable("the identity provider's JWKS holds no public key: correct OPS_JWT_JWKS_*")
    return keys


def _key(entry: Mapping[str, Any]) -> jwt.PyJWK | None:
    if entry.get("kty") not in KEY_TYPES or entry.get("use", "sig") != "sig":
        return None
    try:
        return jwt.PyJWK(dict(entry))
    except jwt.PyJWTError:
        return None


def from_settings(settings: Settings, clock: Callable[[], float] = time.monotonic) -> KeySet:
    """Prepare the keys of the configured file or URL; they are read when they are first needed.

    Raises ConfigurationError unless exactly one of the two is configured.
    """
    file, url = settings.jwt.jwks_file, settings.jwt.jwks_url
    if (file is None) == (url is None):
        raise ConfigurationError("set one of OPS_JWT_JWKS_FILE and OPS_JWT_JWKS_URL, not both")
    if file is not None:
        return KeySet(lambda: _read_file(file), clock)
    assert url is not None  # noqa: S101 - see above
    place = urlsplit(url)
    if place.scheme != "https" and place.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            "OPS_JWT_JWKS_URL must begin with https://: otherwise others could insert their keys"
        )
    verify: ssl.SSLContext | bool = True
    if settings.ca_file is not None:
        verify = ssl.create_default_context()
        verify.load_verify_locations(str(settings.ca_file))
    client = httpx.Client(timeout=TIMEOUT_SECONDS, verify=verify, trust_env=False)
    return KeySet(lambda: _fetch(client, url), clock)


def _read_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise Unavailable(f"cannot read {file}: correct OPS_JWT_JWKS_FILE") from None


def _fetch(client: httpx.Client, url: str) -> str:
    # The client's own timeout is for each part of an answer, however many there are.
    until = time.monotonic() + TIMEOUT_SECONDS
    try:
        with client.stream("GET", url) as response:
            content = b""
            for part in response.iter_bytes():
                content += part
                if time.monotonic() >= until:
                    raise Unavailable(
                        f"the identity provider's JWKS did not arrive within {TIMEOUT_SECONDS:g} s"
                    )
                if len(content) > LARGEST_BYTES:
                    raise Unavailable("the identity provider's JWKS is larger than 1 MiB")
            if not response.is_success:
                raise Unavailable(f"the identity provider answers {response.status_code} for its JWKS")
            return content.decode("utf-8", "replace")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"cannot fetch the identity provider's JWKS: {type(error).__name__}") from None
