"""The store of certificates: one row for each request, and one locked copy in the ledger bucket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ops_platform.audit import PublicKeys, SigningKey
from ops_platform.clients.object_store import ObjectExists, ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.certificates.document import Issued, NotGenuine, canonical, sign, verify

LEDGER_PREFIX = "certificates/"


def issue(
    ops: Connection,
    ledger: ObjectStore,
    key: SigningKey,
    certificate: Mapping[str, Any],
    *,
    lock_until: datetime | None = None,
    keys: PublicKeys | None = None,
) -> Issued:
    """Sign the certificate and store it, unless the request has one; return the one that stands.

    A request's first certificate stays for ever, also when the ops database has lost it. ``ops`` is an
    autocommit connection; ``keys`` are those that an earlier certificate may have been signed with, after
    a rotation. The copy is locked until ``lock_until``, or else until the last backup expires that the
    certificate names. Raises CheckFailed when the ledger holds another certificate of the request.
    """
    request_id = str(certificate["request_id"])
    public_keys = keys or key.public_keys()
    signed = find(ops, request_id) or from_ledger(ledger, public_keys, request_id) or sign(certificate, key)
    with ops.transaction():
        adopt(ops, signed)
    first = find(ops, request_id)
    assert first is not None  # noqa: S101 - it was inserted, or was there
    body = first.as_file().encode()
    until = lock_until or datetime.fromisoformat(str(certificate["last_backup_expires_at"]))
    try:
        ledger.put(
            _ledger_key(request_id),
            body,
            if_none_match=True,
            retain_until=until,
            content_type="application/json",
        )
    except ObjectExists:
        if _oldest(ledger, request_id) != body:
            raise CheckFailed(
                f"{ledger.uri(_ledger_key(request_id))} is another certificate than the ops database has: "
                "compare the two with 'ops-platform gdpr verify-certificate'"
            ) from None
    return first


def adopt(ops: Connection, issued: Issued) -> bool:
    """Store a signed certificate, in the caller's transaction; False when the request has one already."""
    inserted = ops.execute(
        "INSERT INTO gdpr_certificates (request_id, certificate_id, document, signature, key_id, "
        "issued_at) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (request_id) DO NOTHING",
        (
            issued.request_id,
            issued.certificate_id,
            issued.document,
            issued.signature,
            issued.key_id,
            issued.issued_at,
        ),
    ).rowcount
    return bool(inserted)


def find(ops: Connection, request_id: str) -> Issued | None:
    """Return the request's certificate in the ops database, or None."""
    row = ops.execute(
        "SELECT request_id, certificate_id, document, signature, key_id, issued_at FROM gdpr_certificates "
        "WHERE request_id = %s",
        (request_id,),
    ).fetchone()
    return None if row is None else Issued(**row)


def from_ledger(ledger: ObjectStore, keys: PublicKeys, request_id: str) -> Issued | None:
    """Return the locked copy in the ledger, or None. Raises NotGenuine when it fails verification."""
    text = _oldest(ledger, request_id)
    if text is None:
        return None
    certificate = verify(text, keys)
    if certificate["request_id"] != request_id:
        raise NotGenuine(f"{ledger.uri(_ledger_key(request_id))} is the certificate of another request")
    wrapped = json.loads(text)
    return Issued(
        request_id,
        certificate["certificate_id"],
        canonical(certificate),
        wrapped["signature"],
        wrapped["key_id"],
        datetime.fromisoformat(certificate["issued_at"]),
    )


def retrieve(ops: Connection, ledger: ObjectStore | None, keys: PublicKeys, request_id: str) -> Issued:
    """Return the request's certificate from the ops database, or else from the ledger; check its signature.

    ``ledger`` is None where no ledger bucket is configured. Raises CheckFailed when there is none, or when
    the two places hold different ones, and NotGenuine.
    """
    in_ops = find(ops, request_id)
    in_ledger = from_ledger(ledger, keys, request_id) if ledger else None
    certificate = in_ops or in_ledger
    if certificate is None:
        raise CheckFailed(
            f"there is no certificate of the request {request_id}: it is no erasure, or none that is complete"
        )
    verify(certificate.as_file().encode(), keys)
    if in_ops and in_ledger and in_ops.as_file() != in_ledger.as_file():
        raise CheckFailed(
            f"the ops database and the ledger hold different certificates of the request {request_id}: "
            "one of them was replaced"
        )
    return certificate


def issued(ops: Connection, request_ids: Iterable[str]) -> set[str]:
    """Select those of the requests that have a certificate in the ops database."""
    rows = ops.execute(
        "SELECT request_id FROM gdpr_certificates WHERE request_id = ANY (%s)", (list(request_ids),)
    )
    return {row["request_id"] for row in rows}


def stored(ledger: ObjectStore) -> dict[str, datetime]:
    """Map requests with a certificate in the ledger, genuine or not, to the time it was first written."""
    written_at: dict[str, datetime] = {}
    for version in ledger.versions(LEDGER_PREFIX):
        if not version.delete_marker:
            request_id = version.key.removeprefix(LEDGER_PREFIX).removesuffix(".json")
            written_at[request_id] = min(version.modified_at, written_at.get(request_id, version.modified_at))
    return written_at


def _oldest(ledger: ObjectStore, request_id: str) -> bytes | None:
    """Read the first version that was written, whatever was put over it or deleted since."""
    key = _ledger_key(request_id)
    # Listed newest first, and times are whole seconds: turn round before the stable sort.
    written = [
        version
        for version in reversed(list(ledger.versions(key)))
        if version.key == key and not version.delete_marker
    ]
    if not written:
        return None
    return ledger.get(key, min(written, key=lambda version: version.modified_at).version_id)


def _ledger_key(request_id: str) -> str:
    return f"{LEDGER_PREFIX}{request_id}.json"
