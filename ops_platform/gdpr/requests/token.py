"""The token of a verification mail: generating, reading as people type it, comparing. Pure.

A token is 256 random bits in Crockford's base32, because people may type it: no letter in it can be
mistaken for a digit. The requests hold only its SHA-256; the token
itself stands in its mail, in the outbox until that has left.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BITS = 256
LENGTH = -(-BITS // 5)
GROUP = 4
MAX_TYPED_LENGTH = 4 * LENGTH
"""Longer input is not a token, whatever separators it has."""

# Letters that are typed for digits; hyphens and spaces only help the eye.
_TYPED_FOR = str.maketrans(
    {"O": "0", "I": "1", "L": "1", **dict.fromkeys("- \t\r\n\u00a0\u2010\u2011\u2013")}
)
_NO_DIGEST = hashlib.sha256(b"").hexdigest()


def new_token() -> str:
    """Generate a token of 52 characters."""
    number = secrets.randbits(BITS)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def as_code(token: str) -> str:
    """Write the token in groups of four, for the eye."""
    return "-".join(token[start : start + GROUP] for start in range(0, len(token), GROUP))


def read(typed: str) -> str | None:
    """Read a typed or pasted token; None when it cannot be one."""
    if len(typed) > MAX_TYPED_LENGTH:
        return None
    token = typed.upper().translate(_TYPED_FOR)
    return token if len(token) == LENGTH and all(letter in ALPHABET for letter in token) else None


def digest(token: str) -> str:
    """Compute the hex SHA-256 of a token: the only form that is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def matches(token: str, stored: str | None) -> bool:
    """Tell whether ``stored`` is the digest of ``token``, in the same time in every case."""
    same = hmac.compare_digest(digest(token), stored or _NO_DIGEST)
    return same and stored is not None
