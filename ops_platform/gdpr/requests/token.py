"""The token of a verification mail: made, read as people type it, compared. Pure.

256 random bits in Crockford's base32, because people may type it: no letter in it can be
mistaken for a digit. Only its SHA-256 is stored, so that whoever reads the database can confirm
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BITS = 256
LENGTH = -(-BITS // 5)
GROUP = 4
LONGEST_TYPED = 4 * LENGTH
"""More characters than that are no token, whatever stands between its letters."""

# What is read for what is meant; hyphens and spaces only help the eye.
_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1", **dict.fromkeys("- \t\r\n\u00a0\u2010\u2011\u2013")})
_NO_DIGEST = hashlib.sha256(b"").hexdigest()


def new_token() -> str:
    """A fresh token, 52 characters."""
    number = secrets.randbits(BITS)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def as_code(token: str) -> str:
    """The token in groups of four, for the eye."""
    return "-".join(token[start : start + GROUP] for start in range(0, len(token), GROUP))


def read(typed: str) -> str | None:
    """The token that was typed or pasted; None when it cannot be one."""
    if len(typed) > LONGEST_TYPED:
        return None
    token = typed.upper().translate(_MEANT)
    return token if len(token) == LENGTH and all(letter in ALPHABET for letter in token) else None


def digest(token: str) -> str:
    """What is stored of a token: hex SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


def matches(token: str, stored: str | None) -> bool:
    """Whether ``stored`` is the digest of ``token``; takes the same time in every case."""
    same = hmac.compare_digest(digest(token), stored or _NO_DIGEST)
    return same and stored is not None
