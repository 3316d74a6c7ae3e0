"""Trusted time for certificates: tokens of a time stamping authority, kept beside them.

A token is over the SHA-256 of the signed document, which it does not change: a certificate is issued without
one while the authority is away, and stamped later.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ops_platform.clients import timestamp_authority
from ops_platform.clients.object_store import ObjectExists, ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.clients.timestamp_authority import TimestampAuthority
from ops_platform.errors import OpsError
from ops_platform.gdpr.certificates import certificate_store
from ops_platform.gdpr.certificates.document import Issued

LEDGER_PREFIX = "trusted-times/"
AT_ONCE = 20
"""Certificates that one look for missing ones stamps at most."""


def digest(document: str) -> bytes:
    """Compute what a token is over: the SHA-256 of the text that was signed."""
    return hashlib.sha256(document.encode()).digest()


def stamp(
    ops: Connection, ledger: ObjectStore, authority: TimestampAuthority, certificate: Issued
) -> datetime:
    """Give the certificate a trusted time, unless it has one; return that time.

    The copy in the ledger is locked as long as the certificate's. Raises what the authority and the ledger
    raise; then the certificate is as before.
    """
    token = find(ops, certificate.request_id) or _from_ledger(ledger, authority, certificate)
    if token is None:
        token = authority.stamp(digest(certificate.document))
    at = timestamp_authority.verify(token, digest(certificate.document), authority.ca_file)
    key = _ledger_key(certificate.request_id)
    until = certificate.backups_expire_at
    # It may have been stamped before, or by another worker: the first token is as good.
    with contextlib.suppress(ObjectExists):
        ledger.put(
            key,
            token,
            if_none_match=True,
            retain_until=until if until > datetime.now(UTC) else None,
            content_type="application/timestamp-reply",
        )
    ops.execute(
        "INSERT INTO gdpr_trusted_times (request_id, token, trusted_at) VALUES (%s, %s, %s) "
        "ON CONFLICT (request_id) DO NOTHING",
        (certificate.request_id, token, at),
    )
    return at


def stamp_missing(
    ops: Connection, ledger: ObjectStore, authority: TimestampAuthority, log: Callable[[str], None]
) -> int:
    """Stamp certificates that have no trusted time yet, the oldest first; return how many are left without.

    Never raises because of the authority: the next look tries again.
    """
    rows = ops.execute(
        "SELECT request_id FROM gdpr_certificates WHERE NOT EXISTS (SELECT FROM gdpr_trusted_times AS t "
        "WHERE t.request_id = gdpr_certificates.request_id) ORDER BY issued_at"
    ).fetchall()
    stamped = 0
    for row in rows[:AT_ONCE]:
        certificate = certificate_store.find(ops, row["request_id"])
        assert certificate is not None  # noqa: S101 - it is append-only
        try:
            stamp(ops, ledger, authority, certificate)
        except OpsError as error:
            log(f"no trusted time yet: {error}")
            break
        stamped += 1
    return len(rows) - stamped


def find(ops: Connection, request_id: str) -> bytes | None:
    """Return the token of a request's certificate; None: no trusted time yet."""
    row = ops.execute("SELECT token FROM gdpr_trusted_times WHERE request_id = %s", (request_id,)).fetchone()
    return None if row is None else bytes(row["token"])


def verify(token: bytes, document: str, ca_file: Path) -> datetime:
    """Verify the token of a signed document and return its time. Raises CheckFailed."""
    return timestamp_authority.verify(token, digest(document), ca_file)


def _from_ledger(ledger: ObjectStore, authority: TimestampAuthority, certificate: Issued) -> bytes | None:
    """Return the first token in the ledger that is genuine; the ops database may have lost its row."""
    key = _ledger_key(certificate.request_id)
    versions = [
        version for version in ledger.versions(key) if version.key == key and not version.delete_marker
    ]
    for version in reversed(versions):
        token = ledger.get(key, version.version_id)
        try:
            timestamp_authority.verify(token, digest(certificate.document), authority.ca_file)
        except OpsError:
            continue
        return token
    return None


def _ledger_key(request_id: str) -> str:
    return f"{LEDGER_PREFIX}{request_id}.tst"
