"""Encryption of personal data at rest outside the product's database, bound to its purpose.

AES-256-GCM. A sealed text names its key, so that keys can be rotated; its purpose is authenticated
with it, so that no sealed text can be put in another's place.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping

from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.settings import Settings

NAME = "OPS_GDPR_ENCRYPTION_KEY"
KEY_BYTES = 32
_MAGIC = b"ops-sealed/1:"
_ID_BYTES = 8
_NONCE_BYTES = 12


class SealingKeys:
    """The encryption keys: the newest seals, older ones only open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take ``keys`` by key id, the newest first; at least one."""
        # Imported here because it takes long to load.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._keys = {id_: AESGCM(key) for id_, key in keys.items()}
        self.key_id = next(iter(keys))

    @classmethod
    def parse(cls, text: str, name: str = NAME) -> SealingKeys:
        """Parse base64 keys, separated by commas. Raises ConfigurationError, which quotes none of them."""
        keys = {}
        for number, part in enumerate(text.split(","), 1):
            try:
                key = base64.b64decode("".join(part.split()), validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if len(key) != KEY_BYTES:
                raise ConfigurationError(
                    f"{name}: key {number} is not {KEY_BYTES} bytes in base64: "
                    f"make one with 'openssl rand -base64 {KEY_BYTES}'"
                )
            keys[key_id(key)] = key
        return cls(keys)

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Encrypt with the newest key; only ``open`` with the same ``purpose`` reads it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _MAGIC + bytes.fromhex(self.key_id)
        return head + nonce + self._keys[self.key_id].encrypt(nonce, plain, _bound(head, purpose))

    def opens(self, sealed: bytes) -> bool:
        """Tell whether its key is among these. Raises CheckFailed when it is not a sealed text."""
        return key_id_of(sealed) in self._keys

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt a text that was sealed for ``purpose``.

        Raises ConfigurationError when its key is not among these, CheckFailed when it was changed or sealed
        for another purpose.
        """
        from cryptography.exceptions import InvalidTag

        used_key_id = key_id_of(sealed)
        key = self._keys.get(used_key_id)
        if key is None:
            raise ConfigurationError(
                f"{NAME} does not hold the key {used_key_id} that was used for the {purpose}: "
                "put that key behind the newest one, separated by a comma"
            )
        head = sealed[: len(_MAGIC) + _ID_BYTES]
        rest = sealed[len(head) :]
        try:
            return key.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound(head, purpose))
        except (InvalidTag, ValueError):
            raise CheckFailed(
                f"a sealed text is not a {purpose}, or was changed: compare it with an older version"
            ) from None


def key_id(key: bytes) -> str:
    """Derive 16 hex digits that tell keys apart and reveal nothing of them."""
    return hashlib.sha256(b"ops-platform sealing key" + key).hexdigest()[: 2 * _ID_BYTES]


def key_id_of(sealed: bytes) -> str:
    """Read the id of the key that sealed it. Raises CheckFailed when it is not a sealed text."""
    head = sealed[: len(_MAGIC) + _ID_BYTES]
    if not head.startswith(_MAGIC) or len(sealed) < len(_MAGIC) + _ID_BYTES + _NONCE_BYTES:
        raise CheckFailed("this is not a sealed text: it was cut off, or something else was put in its place")
    return head[len(_MAGIC) :].hex()


def sealing_keys(settings: Settings) -> SealingKeys:
    """Read the keys from OPS_GDPR_ENCRYPTION_KEY. Raises ConfigurationError when unset or malformed."""
    secret = settings.gdpr.encryption_key
    if secret is None:
        raise ConfigurationError(
            f"{NAME} is not set: make a key with 'openssl rand -base64 {KEY_BYTES}' and set {NAME}_FILE"
        )
    return SealingKeys.parse(secret.get_secret_value())


def optional_keys(settings: Settings) -> SealingKeys | None:
    """Read the keys; None when none is configured. Raises ConfigurationError when malformed."""
    return None if settings.gdpr.encryption_key is None else sealing_keys(settings)


def _bound(head: bytes, purpose: str) -> bytes:
    return head + purpose.encode()
