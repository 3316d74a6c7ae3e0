"""The last steps: certify the erasure, end its request, destroy pseudonym and inventory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ops_platform.clients import safe_errors
from ops_platform.errors import OpsError
from ops_platform.gdpr import certificates, requests, row_erasure
from ops_platform.gdpr.certificates import trusted_time
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.steps import certificate_facts
from ops_platform.gdpr.erasure.steps.base import RecordedErasure, Result, Step
from ops_platform.gdpr.requests import work_queue
from ops_platform.gdpr.row_erasure import Journal
from ops_platform.gdpr.tombstones import tombstone_store

_ON_RECORD = (
    *("controller", "databases", "received_at", "confirmed_at", "due_at", "done_at", "searched"),
    *("not_searched", "processors", "accepted", "map_sha256"),
)
"""Members of the certificate that the request's lineage repeats."""
_EARLIER, _EARLIER_SECONDS = 20, 20.0
"""How many earlier certificates an erasure stamps when it is over, and for how long."""


class Certify(Step[RecordedErasure]):
    """Complete the tombstone and issue the certificate, or adopt one that an earlier attempt issued."""

    name = "certificate"

    def perform(self, state: RecordedErasure) -> Result:
        """Set ``certificate``. Its id is in the details."""
        context, request_id = state.context, state.case.request_id
        expires = tombstone_store.complete(
            state.ops, context.ledger, context.keys, state.tombstone, context.term, context.clock()
        )
        state.remember_identity(expires)
        issued = certificates.find(state.ops, request_id)
        if issued is None or self.name not in state.checkpoints.done:
            composed = certificates.compose(
                state.tombstone,
                state.data_map,
                state.checkpoints.totals(),
                proof=_proof(state.databases, request_id),
                residue={},
                about_others=state.about_others(),
                accepted={
                    name: {hit.place: hit.rows for hit in hits} for name, hits in state.accepted.items()
                },
                not_searched=state.not_searched(),
                backups_expire_at=expires,
                now=context.clock(),
                facts=certificate_facts.gather(state, expires),
            )
            issued = certificates.issue(
                state.ops, context.ledger, context.signing_key, composed, keys=context.public_keys
            )
        state.certificate = issued
        _stamp(state)
        state.log(f"certificate {issued.certificate_id}; the last backup with the data expires {expires:%F}")
        said = json.loads(issued.document)
        return Result(
            details={
                "certificate_id": issued.certificate_id,
                **{name: said[name] for name in _ON_RECORD if name in said},
            }
        )


class Finish(Step[RecordedErasure]):
    """End the request and destroy pseudonym and inventory; one transaction holds all but the pseudonym."""

    name = "done"

    def perform(self, state: RecordedErasure) -> Result:
        """End the request and record the step in one transaction, with other open requests of the subject."""
        # This destroys the pseudonym: from now on nothing leads from anonymised rows to the subject.
        ended = [state.case.request_id, *state.unfinished()]
        for database in state.databases:
            for request_id in ended:
                row_erasure.forget(database.connection, request_id)
        now, subject, is_new = (
            state.context.clock(),
            state.subject_id,
            self.name not in state.checkpoints.done,
        )
        with state.ops.transaction():
            if is_new:
                state.end_request(state.ops, state.certificate)
            if subject is not None:
                work_queue.end_open(state.ops, subject, now)
                requests.scrub(state.ops, subject, now)
            for request_id in ended:
                inventory.forget(state.ops, request_id)
            if is_new:
                state.checkpoints.append(self.name)
        state.checkpoints.done.add(self.name)  # recorded already, with the end of the request
        _stamp_earlier(state)
        return Result()


def _stamp(state: RecordedErasure) -> None:
    """Give the certificate a trusted time; nothing waits for an authority."""
    authority = state.context.authority
    if authority is None:
        return
    try:
        at = trusted_time.stamp(state.ops, state.context.ledger, authority, state.certificate)
        state.log(f"trusted time {at:%F %T} UTC")
    except (OpsError, OSError) as error:
        state.log(f"no trusted time yet, the certificate is stamped later: {safe_errors.why(error)}")


def _stamp_earlier(state: RecordedErasure) -> None:
    """Stamp certificates that were issued while the authority was away."""
    authority = state.context.authority
    if authority is not None and trusted_time.find(state.ops, state.case.request_id) is not None:
        try:
            trusted_time.stamp_missing(
                state.ops, state.context.ledger, authority, state.log, most=_EARLIER, seconds=_EARLIER_SECONDS
            )
        except (OpsError, OSError) as error:
            state.log(f"earlier certificates are stamped later: {safe_errors.why(error)}")


def _proof(databases: Iterable[OpenDatabase], erasure_id: str) -> list[dict[str, Any]]:
    """Collect, for each step that changed rows, the comparisons that prove no other rows changed."""
    return [
        {
            **entry.control,
            "table": database.data_map.place(table),
            "role": role,
            "action": action,
            "changed": entry.changed,
        }
        for database in databases
        for (table, role, action), entry in Journal(database.connection, erasure_id).steps().items()
        if entry.changed
    ]
