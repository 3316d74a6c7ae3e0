"""Reconciliation of a restored ops database with the object-locked ledger.

It brings back tombstones and certificates that the database has lost, ends requests that it no longer
knows to be done, and empties their personal fields again. Changes nothing where nothing was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ops_platform.audit import PublicKeys
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr import certificates, requests
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.tombstones import (
    SealingKeys,
    Tombstone,
    ledger_copies,
    sealed_identities,
    tombstone_store,
)


@dataclass(frozen=True)
class Reconciled:
    """Counts of one reconciliation.

    ``tombstones``: all in the ledger. ``adopted``: of these, missing or still open in the ops database.
    ``certificates``: brought back. ``scrubbed``: requests whose personal fields were emptied.
    ``unfinished``: erasures that had begun and have no certificate; their requests are open again.
    """

    tombstones: int
    adopted: int
    certificates: int
    scrubbed: int
    unfinished: int


def prepare(ops: Connection) -> None:
    """Let an ops database from before the kinds of subject take tombstones of each, until it is migrated.

    Raises what psycopg raises, also where this role may not change the table.
    """
    row = one_row(
        ops,
        "SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'erasure_tombstones'::regclass "
        "AND attname = 'requestable' AND NOT attisdropped) AS missing",
    )
    if row["missing"]:
        ops.execute("ALTER TABLE erasure_tombstones ADD COLUMN requestable boolean NOT NULL DEFAULT true")


def reconcile(
    ops: Connection, ledger: ObjectStore, keys: SealingKeys, public: PublicKeys, now: datetime
) -> Reconciled:
    """Bring the ledger's tombstones and certificates back into the ops database.

    ``ops`` is an autocommit connection; each subject is a transaction. Safe to repeat.

    Raises CheckFailed for a copy that cannot be read or a certificate that is not genuine.
    """
    tombstones = sealed_identities.attach_copies(ledger, keys, ledger_copies.read(ledger, keys))
    adopted = certified = scrubbed = unfinished = 0
    for tombstone in tombstones:
        issued = certificates.find(ops, tombstone.request_id) or certificates.from_ledger(
            ledger, public, tombstone.request_id
        )
        with ops.transaction():
            completed = issued.issued_at if issued else None
            expires = issued.backups_expire_at if issued else None
            adopted += tombstone_store.adopt(ops, tombstone, completed, expires, now)
            _adopt_identity(ops, keys, tombstone)
            if issued is None:
                unfinished += 1
                _reopen(ops, tombstone)
                continue
            certified += certificates.adopt(ops, issued)
            scrubbed += _finish(ops, tombstone, issued)
    return Reconciled(len(tombstones), adopted, certified, scrubbed, unfinished)


def _adopt_identity(ops: Connection, keys: SealingKeys, tombstone: Tombstone) -> None:
    """Add what the ledger knows of the subject to what the ops database knows: either may know less."""
    [stored] = sealed_identities.attach(ops, [tombstone])
    if tombstone.identity is None or stored.identity == tombstone.identity:
        return
    if stored.identity is not None:
        request_id = tombstone.request_id
        known = inventory.read(stored.identity, keys, request_id)
        names = inventory.merge(known, inventory.read(tombstone.identity, keys, request_id), sure=True)
        if names == known:
            return
        tombstone = replace(tombstone, identity=inventory.write(names, keys, request_id))
    sealed_identities.adopt(ops, tombstone)


def _reopen(ops: Connection, tombstone: Tombstone) -> None:
    """Open the request of an erasure that had begun, as verified, so that the erasure is finished.

    It must have been verified, whatever the ops database knows of it. Another open request of the subject
    is enough: it erases the same.
    """
    subject = tombstone.subject_key.creator
    if subject is None:
        return
    ops.execute(
        "UPDATE gdpr_requests SET verified_at = %s WHERE request_id = %s AND status = 'pending' "
        "AND verified_at IS NULL",
        (tombstone.erased_at, tombstone.request_id),
    )
    ops.execute(
        "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, created_at, "
        "verified_at, progress) SELECT %(request)s, %(subject)s, 'erasure', '', %(at)s, %(at)s, 'verified' "
        "WHERE NOT EXISTS (SELECT FROM gdpr_requests WHERE request_id = %(request)s) ON CONFLICT DO NOTHING",
        {"request": tombstone.request_id, "subject": subject, "at": tombstone.erased_at},
    )


def _finish(ops: Connection, tombstone: Tombstone, issued: Issued) -> int:
    """Complete the request, delete its inventory and scrub the subject's requests; return how many.

    A failed request beside another open erasure of the subject stays failed until that one has ended:
    only one can be open, and the other is later or at work.
    """
    subject = tombstone.subject_key.creator
    if subject is not None:
        _end_earlier(ops, tombstone, subject, issued)
    ops.execute(
        "UPDATE gdpr_requests AS r SET status = 'processing', outcome = NULL, "
        "verified_at = coalesce(verified_at, %s) WHERE request_id = %s "
        "AND (status = 'pending' OR (status = 'failed' AND outcome = 'error' AND NOT EXISTS ("
        "SELECT FROM gdpr_requests AS o WHERE o.creator_id = r.creator_id "
        "AND o.request_type = r.request_type AND o.status IN ('pending', 'processing'))))",
        (issued.confirmed_at or tombstone.erased_at, tombstone.request_id),
    )
    ops.execute(
        "UPDATE gdpr_requests SET status = 'completed', outcome = 'fulfilled', progress = 'done', "
        "completed_at = %s WHERE request_id = %s AND status = 'processing'",
        (issued.issued_at, tombstone.request_id),
    )
    inventory.forget(ops, tombstone.request_id)
    return 0 if subject is None else requests.scrub(ops, subject, issued.issued_at)


def _end_earlier(ops: Connection, tombstone: Tombstone, subject: UUID, issued: Issued) -> None:
    """Cancel the subject's other requests that were open when the erasure ended, as it had done itself."""
    ops.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'cancelled', completed_at = %s, "
        "progress = NULL, next_attempt_at = NULL WHERE creator_id = %s AND request_id <> %s "
        "AND created_at <= %s "
        "AND (status = 'pending' OR (status = 'processing' AND request_type = 'export'))",
        (issued.issued_at, subject, tombstone.request_id, issued.issued_at),
    )
