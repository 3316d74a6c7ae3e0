"""Ed25519 keys that sign and check seals, and their key ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ops_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# ``cryptography`` takes long to load, so it is imported when the first key is made or read.

_BLOCK = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


def key_id(key: Ed25519PublicKey) -> str:
    """Compute a key's id: the first 16 hex digits of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


class SigningKey:
    """A private key; only the agent holds that of the ledger."""

    def __init__(self, pem: str, name: str = "OPS_AUDIT_SIGNING_KEY") -> None:
        """Read the key from ``pem``; ``name`` is the setting that holds it.

        Raises ConfigurationError when it is not an unencrypted Ed25519 private key.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(
                f"{name}_FILE is not the PEM of an Ed25519 private key: "
                "make one with 'openssl genpkey -algorithm ed25519'"
            )
        self._key = key
        self.key_id = key_id(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, 64 bytes (RFC 8032)."""
        return self._key.sign(data)

    def public_keys(self) -> PublicKeys:
        """Return the public half as the only known key."""
        return PublicKeys({self.key_id: self._key.public_key()})


class PublicKeys:
    """The keys that seals may be signed with, by key id: the present key and those before rotations."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def parse(cls, pem: str, name: str = "OPS_AUDIT_PUBLIC_KEY") -> PublicKeys:
        """Read concatenated PEM blocks; ``name`` is the setting that holds them.

        Raises ConfigurationError when a block is wrong or there is none.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        keys = {}
        for block in _BLOCK.findall(pem):
            try:
                key = load_pem_public_key(block.encode())
            except (ValueError, UnsupportedAlgorithm):
                key = None
            if not isinstance(key, Ed25519PublicKey):
                raise ConfigurationError(
                    f"{name} holds a block that is not an Ed25519 public key: correct it"
                )
            keys[key_id(key)] = key
        if not keys:
            raise ConfigurationError(
                f"{name} holds no PEM public key: set it to the public half of the signing key"
            )
        return cls(keys)

    def knows(self, key_id: str) -> bool:
        """Return whether a key with this id is among them."""
        return key_id in self._keys

    def verify(self, key_id: str, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature`` over ``data`` is that key's; False for an unknown key."""
        from cryptography.exceptions import InvalidSignature

        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def configured_signing_key(secret: SecretStr | None, name: str) -> SigningKey:
    """Read the key of the setting ``name``. Raises ConfigurationError when it is missing or malformed."""
    if secret is None:
        raise ConfigurationError(
            f"{name} is not set: make one with 'openssl genpkey -algorithm ed25519' and set {name}_FILE"
        )
    return SigningKey(secret.get_secret_value(), name)


def configured_public_keys(pem: str | None, name: str, signing: str) -> PublicKeys:
    """Read the keys of the setting ``name``, the public halves of the setting ``signing``.

    Raises ConfigurationError when they are missing or malformed.
    """
    if pem is None:
        raise ConfigurationError(f"{name} is not set: set it to the public half of {signing}")
    return PublicKeys.parse(pem, name)


def generate() -> tuple[str, str]:
    """Generate a key pair and return it as PEM: (private, public)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()
