"""Decryption of what pgBackRest stored with a passphrase: OpenSSL's format, AES-256 in CBC. Pure.

pgBackRest decrypts what it is asked for, a process and the archive's index for each file. For thousands of
segments this costs much more than reading them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator

from ops_platform.clients.pgbackrest.manifest import checked_lines
from ops_platform.errors import CheckFailed

_MAGIC, _SALT, _BLOCK = b"Salted__", 8, 16
_KEY, _VECTOR = 32, 16


def archive_passphrase(index: str) -> str | None:
    """Return the passphrase of the segments from the text of archive.info; None where they are not encrypted.

    Raises CheckFailed when the index is damaged.
    """
    try:
        found = [
            str(value)
            for section, key, value, _ in checked_lines(index)
            if (section, key) == ("cipher", "cipher-pass")
        ]
    except ValueError:
        raise CheckFailed("it is not as pgBackRest writes it") from None
    return found[0] if found else None


def decrypt(pieces: Iterable[bytes], passphrase: str) -> Iterator[bytes]:
    """Decrypt a stream. Raises CheckFailed where it is not what the passphrase encrypted."""
    # Imported with the first file that is read: the definitions and the command line need none.
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream = iter(pieces)
    head = b""
    while len(head) < len(_MAGIC) + _SALT:
        piece = next(stream, None)
        if piece is None:
            raise CheckFailed("it is too short to be encrypted")
        head += piece
    if not head.startswith(_MAGIC):
        raise CheckFailed("it does not begin as an encrypted file")
    salt, first = head[len(_MAGIC) : len(_MAGIC) + _SALT], head[len(_MAGIC) + _SALT :]
    derived = _derive(passphrase.encode(), salt)
    decryptor = Cipher(algorithms.AES(derived[:_KEY]), modes.CBC(derived[_KEY:])).decryptor()
    unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
    for piece in itertools.chain((first,), stream):
        if plain := unpadder.update(decryptor.update(piece)):
            yield plain
    try:
        last = unpadder.update(decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise CheckFailed("it cannot be decrypted") from None
    if last:
        yield last


def _derive(passphrase: bytes, salt: bytes) -> bytes:
    """Derive key and vector as OpenSSL's EVP_BytesToKey does with SHA-1 and one round."""
    derived = digest = b""
    while len(derived) < _KEY + _VECTOR:
        digest = hashlib.sha1(digest + passphrase + salt, usedforsecurity=False).digest()
        derived += digest
    return derived[: _KEY + _VECTOR]
