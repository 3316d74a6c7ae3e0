"""The ops database after it was itself restored: what the locked ledger remembers is brought back into it.

Tombstones and certificates that it has lost, requests that it has forgotten were done, personal
fields that had been emptied. Changes nothing where nothing was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ops_platform.audit import PublicKeys
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import certificates, requests
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.tombstones import SealingKeys, Tombstone, ledger_copies
from ops_platform.gdpr.tombstones import tombstone_store as tombstones


@dataclass(frozen=True)
class Reconciled:
    """``unfinished``: erasures that had begun and have no certificate; their requests wait for their work."""

    tombstones: int
    adopted: int
    certificates: int
    scrubbed: int
    unfinished: int


def reconcile(
    ops: Connection, ledger: ObjectStore, keys: SealingKeys, public: PublicKeys, now: datetime
) -> Reconciled:
    """``ops`` is an autocommit connection; each subject is a transaction. Safe to repeat.

    Raises CheckFailed for a copy that cannot be read or a certificate that is not genuine.
    """
    found = ledger_copies.read(ledger, keys)
    adopted = brought = scrubbed = unfinished = 0
    for one in found:
        issued = certificates.find(ops, one.request_id) or certificates.from_ledger(
            ledger, public, one.request_id
        )
        with ops.transaction():
            completed = issued.issued_at if issued else None
            expires = issued.backups_expire_at if issued else None
            adopted += tombstones.adopt(ops, one, completed, expires, now)
            if issued is None:
                unfinished += 1
                _reopen(ops, one)
                continue
            brought += certificates.adopt(ops, issued)
            scrubbed += _finish(ops, one, issued)
    return Reconciled(len(found), adopted, brought, scrubbed, unfinished)


def _reopen(ops: Connection, one: Tombstone) -> None:
    """A request that had begun to be carried out is carried out: it was verified, whatever is known of it.

    One open request of the subject is enough; it erases all the same.
    """
    subject = _uuid(one)
    if subject is None:
        return
    ops.execute(
        "UPDATE gdpr_requests SET verified_at = %s WHERE request_id = %s AND status = 'pending' "
        "AND verified_at IS NULL",
        (one.erased_at, one.request_id),
    )
    ops.execute(
        "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, created_at, "
        "verified_at, progress) SELECT %(request)s, %(subject)s, 'erasure', '', %(at)s, %(at)s, 'verified' "
        "WHERE NOT EXISTS (SELECT FROM gdpr_requests WHERE request_id = %(request)s) ON CONFLICT DO NOTHING",
        {"request": one.request_id, "subject": subject, "at": one.erased_at},
    )


def _finish(ops: Connection, one: Tombstone, issued: Issued) -> int:
    """The request is done, its inventory goes, and the person goes out of it; how many were scrubbed.

    One that had failed, and stands beside another open erasure of the subject, stays failed until that
    one has ended: only one can be open, and the other is later or at work.
    """
    subject = _uuid(one)
    if subject is not None:
        _end_earlier(ops, one, subject, issued)
    ops.execute(
        "UPDATE gdpr_requests AS r SET status = 'processing', outcome = NULL, "
        "verified_at = coalesce(verified_at, %s) WHERE request_id = %s "
        "AND (status = 'pending' OR (status = 'failed' AND outcome = 'error' AND NOT EXISTS ("
        "SELECT FROM gdpr_requests AS o WHERE o.creator_id = r.creator_id "
        "AND o.request_type = r.request_type AND o.status IN ('pending', 'processing'))))",
        (one.erased_at, one.request_id),
    )
    ops.execute(
        "UPDATE gdpr_requests SET status = 'completed', outcome = 'fulfilled', progress = 'done', "
        "completed_at = %s WHERE request_id = %s AND status = 'processing'",
        (issued.issued_at, one.request_id),
    )
    inventory.forget(ops, one.request_id)
    return 0 if subject is None else requests.scrub(ops, subject, issued.issued_at)


def _end_earlier(ops: Connection, one: Tombstone, subject: UUID, issued: Issued) -> None:
    """Other requests of the subject's that were open when the erasure was done, as it ended them itself."""
    ops.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'cancelled', completed_at = %s, "
        "progress = NULL, next_attempt_at = NULL WHERE creator_id = %s AND request_id <> %s "
        "AND created_at <= %s "
        "AND (status = 'pending' OR (status = 'processing' AND request_type = 'export'))",
        (issued.issued_at, subject, one.request_id, issued.issued_at),
    )


def _uuid(one: Tombstone) -> UUID | None:
    return UUID(one.of.key) if one.of.key_type == "uuid" else None
