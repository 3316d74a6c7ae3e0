"""Trusted time for certificates: tokens of a time stamping authority, kept beside them.

A token is over the SHA-256 of the signed document, which it does not change: a certificate is issued without
one while the authority is away, and stamped later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ops_platform.clients import timestamp_authority
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.clients.timestamp_authority import TimestampAuthority
from ops_platform.errors import CheckFailed, OpsError
from ops_platform.gdpr.certificates import certificate_store
from ops_platform.gdpr.certificates.document import Issued

LEDGER_PREFIX = "trusted-times/"
CLOCKS_APART = timedelta(minutes=5)
"""The times come from the clocks of several machines."""
SECONDS = 300.0
"""How long one look for missing ones goes on."""
MOST_REFUSED = 5
"""So many refusals in a row are not about one certificate: then a look ends."""


def digest(document: str) -> bytes:
    """Compute what a token is over: the SHA-256 of the text that was signed."""
    return hashlib.sha256(document.encode()).digest()


def stamp(
    ops: Connection, ledger: ObjectStore, authority: TimestampAuthority, certificate: Issued
) -> datetime:
    """Give the certificate a trusted time, unless it has one; return that time.

    The copy in the ledger is locked as long as the certificate's. Raises what the authority and the ledger
    raise, and CheckFailed for a time that cannot be right; then the certificate is as before.
    """
    copy = _from_ledger(ledger, authority, certificate)
    token = find(ops, certificate.request_id) or copy
    if token is None:
        token = authority.stamp(digest(certificate.document))
        _refuse_wrong_clock(_verified(token, authority, certificate))
    at = timestamp_authority.verify(token, digest(certificate.document), authority.ca_file)
    if copy is None:  # something else there must not keep it out
        until = certificate.backups_expire_at
        ledger.put(
            _ledger_key(certificate.request_id),
            token,
            retain_until=until if until > datetime.now(UTC) else None,
            content_type="application/timestamp-reply",
        )
    # It may have been stamped by another worker meanwhile: the first token is as good.
    ops.execute(
        "INSERT INTO gdpr_trusted_times (request_id, token, trusted_at) VALUES (%s, %s, %s) "
        "ON CONFLICT (request_id) DO NOTHING",
        (certificate.request_id, token, at),
    )
    return at


def stamp_missing(
    ops: Connection,
    ledger: ObjectStore,
    authority: TimestampAuthority,
    log: Callable[[str], None],
    *,
    most: int | None = None,
    seconds: float = SECONDS,
) -> int:
    """Stamp certificates that have no trusted time yet, the oldest first; return how many could not be.

    At most ``most`` of them, and for about ``seconds``: the others wait for the next look, and are not
    counted. Never raises because of the authority or the ledger: the next look tries again.
    """
    rows = ops.execute(
        "SELECT request_id FROM gdpr_certificates WHERE NOT EXISTS (SELECT FROM gdpr_trusted_times AS t "
        "WHERE t.request_id = gdpr_certificates.request_id) ORDER BY issued_at LIMIT %s",
        (most,),
    ).fetchall()
    until, refused, refused_in_a_row = time.monotonic() + seconds, 0, 0
    for number, row in enumerate(rows):
        left = len(rows) - number
        if time.monotonic() > until:
            log(f"{left} certificates have no trusted time yet: they are stamped at the next look")
            return refused
        certificate = certificate_store.find(ops, row["request_id"])
        assert certificate is not None  # noqa: S101 - it is append-only
        try:
            stamp(ops, ledger, authority, certificate)
        except CheckFailed as error:  # it may be this one's alone
            log(f"no trusted time for the certificate of {row['request_id']}: {error}")
            refused, refused_in_a_row = refused + 1, refused_in_a_row + 1
            if refused_in_a_row >= MOST_REFUSED:
                return refused + left - 1
        except OpsError as error:
            log(f"no trusted time yet: {error}")
            return refused + left
        else:
            refused_in_a_row = 0
    return refused


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
            _verified(token, authority, certificate)
        except CheckFailed:
            continue
        return token
    return None


def _verified(token: bytes, authority: TimestampAuthority, certificate: Issued) -> datetime:
    """Return the time of a token. Raises CheckFailed when it is not genuine, or is before the issue."""
    at = timestamp_authority.verify(token, digest(certificate.document), authority.ca_file)
    if at < certificate.issued_at - CLOCKS_APART:
        raise CheckFailed(
            f"the trusted time {at:%F %T} UTC is before the certificate was issued: compare the clocks"
        )
    return at


def _refuse_wrong_clock(at: datetime) -> None:
    """Raise CheckFailed for a time that is not now: what is stored is for ever."""
    apart = abs(at - datetime.now(UTC))
    if apart > CLOCKS_APART:
        raise CheckFailed(
            f"the clock of the time stamping authority is {apart.total_seconds():.0f} s away from this "
            "machine's: find out which is wrong"
        )


def _ledger_key(request_id: str) -> str:
    return f"{LEDGER_PREFIX}{request_id}.tst"
