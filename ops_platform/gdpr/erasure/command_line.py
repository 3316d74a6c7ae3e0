"""Erasures from the command line: with tombstone and certificate or, in a foreign database, without."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from uuid import uuid4

from ops_platform.audit import ledger
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import row_erasure, schema
from ops_platform.gdpr.erasure import data_stores as erasure_parts
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure import pipeline as erasure
from ops_platform.gdpr.erasure.checkpoints import Case
from ops_platform.gdpr.erasure.context import DataStores, ErasureContext
from ops_platform.gdpr.erasure.data_stores import Log
from ops_platform.gdpr.erasure.pipeline import Outcome
from ops_platform.gdpr.lineage import Effect, lineage_store
from ops_platform.gdpr.requests import work_queue
from ops_platform.gdpr.row_erasure import Erasing
from ops_platform.gdpr.subject import SubjectKey, subject_key

ACTOR = "cli"


def erase(ops_url: str, context: ErasureContext, key: str, log: Log) -> Outcome | None:
    """Erase with tombstone and certificate, or go on with an erasure that was begun; None: no such subject.

    Raises CheckFailed when a request's run has begun it, NotYet while letters wait, and what
    ``erasure.run`` raises.
    """
    with (
        contextlib.closing(context.data.product()) as product,
        postgres.session(ops_url, application="ops-platform erasure", autocommit=True) as ops,
    ):
        found = schema.read(product)
        of = subject_key.parse(product, context.data.data_map, found, context.term.stanza, key)
        begun = _begun(ops, of)
        _, there = erasure_parts.identify(product, context.data.data_map, found, of, None)
        if begun is None and not there:
            return None
        request_id = begun or str(uuid4())
        if not postgres.try_lock(ops, work_queue.lock_name(request_id)):
            raise CheckFailed(f"another process works on this erasure, {request_id}: wait for its end")
        with ledger.operation(
            ledger.default_connect(ops_url),
            action="gdpr.erasure",
            object=f"request/{request_id}",
            actor=ACTOR,
            operation_id=request_id,
        ):
            done = erasure.run(context, ops, Case(request_id, of.key), log=log)
    return done


def _begun(ops: Connection, of: SubjectKey) -> str | None:
    """The erasure of the subject that is not complete yet, if it is none of a request's."""
    row = ops.execute(
        "SELECT t.gdpr_request_id, r.request_id IS NOT NULL AS asked FROM erasure_tombstones AS t "
        "LEFT JOIN gdpr_requests AS r ON r.request_id = t.gdpr_request_id WHERE t.stanza = %s "
        "AND t.subject_type = %s AND t.subject_key = %s",
        (of.stanza, of.kind, of.key),
    ).fetchone()
    if row is None:
        return None
    request_id = str(row["gdpr_request_id"])
    if "done" in lineage_store.steps(ops, request_id):
        return None  # who is there now has come back
    if row["asked"]:
        raise CheckFailed(
            f"the request {request_id} has begun this erasure: launch the job gdpr_erasure for it instead"
        )
    return request_id


def erase_without_tombstone(stores: DataStores, key: str, log: Log) -> list[Effect] | None:
    """Erase in a database that the platform knows nothing else of; what was done, None: no such subject.

    Nothing remembers it: a backup brings the subject back, and keys of the cache that only the erased rows
    could name are left when it is killed between the two. Raises what the parts raise.
    """
    with contextlib.closing(stores.product()) as product:
        found = erasure_parts.check(product, stores)
        of = subject_key.parse(product, stores.data_map, found, "", key)
        who, there = erasure_parts.identify(product, stores.data_map, found, of, None)
        # The same at every attempt, so that its pseudonym is; destroyed with the erasure.
        erasure_id = hashlib.sha256(f"{of.kind} {of.key}".encode()).hexdigest()[:32]
        if not there and not _under_way(product, erasure_id):
            return None
        taken = inventory.take(stores.data_map, who)
        what = Erasing(erasure_id, who, datetime.now(UTC))
        effects = [*erasure_parts.objects(stores, taken, log), *erasure_parts.keys(stores, taken)]
        effects += erasure_parts.rows(product, stores.data_map, found, what, log)
        # A product that still runs may have filled its cache anew until the rows were gone.
        erasure_parts.keys(stores, taken)
        left = erasure_parts.left(product, stores, found, what, taken)
        if left:
            raise CheckFailed(
                f"{erasure_parts.places(left)} fill again while they are erased: close the account, try again"
            )
        erasure_parts.refuse_residue(product, stores.data_map, found, what)
        row_erasure.forget(product, erasure_id)
    return effects


def _under_way(product: Connection, erasure_id: str) -> bool:
    row = product.execute(
        "SELECT EXISTS (SELECT FROM ops_platform.erasures WHERE erasure_id = %s) AS found", (erasure_id,)
    ).fetchone()
    return bool(row and row["found"])
