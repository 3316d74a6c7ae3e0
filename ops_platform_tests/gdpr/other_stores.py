"""Stores beside the databases for a test of its own: buckets below a fresh prefix, keys, a term."""

from __future__ import annotations

import base64
import itertools
import secrets
from datetime import timedelta

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.gdpr.tombstones.backup_expiry import BackupTerm
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.local.servers.object_store_server import REGION, ObjectStoreServer
from ops_platform.settings import S3Identity

_numbers = itertools.count(1)
TERM = BackupTerm("product", timedelta(days=74))


def store(
    server: ObjectStoreServer, role: str, *, bucket: str | None = None, prefix: str = ""
) -> ObjectStore:
    """The bucket of ``role``, or ``bucket``, as that identity, below ``prefix`` or one of the test's own."""
    identity = S3Identity(
        role=role,
        bucket=bucket or server.bucket("media" if role == "admin" else role),
        access_key_id=server.access_key_id(role),
        secret_access_key=server.secret_access_key(role),
        prefix=prefix or f"gdpr-{next(_numbers)}/",
    )
    return ObjectStore(server.endpoint_url, REGION, identity, server.ca_file)


def sealing_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def sealing_keys() -> SealingKeys:
    return SealingKeys.parse(sealing_key())
