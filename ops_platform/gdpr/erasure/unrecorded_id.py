"""The id of an erasure that no ops database knows of: the same at every attempt, and useless for guessing."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import psycopg

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.row_erasure import Journal

SALT_BYTES = 32


def derive(product: Connection, kind: str, key: str) -> str:
    """Derive the id with the salt of this database; ``key``: the subject's, as text. 32 hex digits.

    The salt is made by the first erasure and is on the disk when this returns. What an older version began
    keeps its id, which had no salt. Raises ConfigurationError where the database has no place for the salt.
    """
    without_salt = unsalted(kind, key)
    if Journal(product, without_salt).is_begun():
        return without_salt
    return hmac.new(_salt(product), f"{kind} {key}".encode(), hashlib.sha256).hexdigest()[:32]


def unsalted(kind: str, key: str) -> str:
    """Derive the id as older versions did."""
    return hashlib.sha256(f"{kind} {key}".encode()).hexdigest()[:32]


def _salt(product: Connection) -> bytes:
    try:
        with product.transaction():
            product.execute("SET LOCAL synchronous_commit = on")
            product.execute(
                "INSERT INTO ops_platform.erasure_salt (salt) VALUES (%s) ON CONFLICT (one) DO NOTHING",
                (secrets.token_bytes(SALT_BYTES),),
            )
        return bytes(one_row(product, "SELECT salt FROM ops_platform.erasure_salt")["salt"])
    except psycopg.errors.UndefinedTable:
        raise ConfigurationError(
            "the product database has no place for the salt of erasures: run 'ops-platform migrate'"
        ) from None
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigurationError(
            f"role {product.info.user} may not read the salt of erasures in schema ops_platform: connect as "
            "ops_eraser, or grant it that role"
        ) from None
