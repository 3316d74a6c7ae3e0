"""Find the subject and check all that the erasure will need, before anything is written or destroyed."""

from __future__ import annotations

from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.steps.base import RecordedErasure, Result, Step
from ops_platform.gdpr.row_erasure import preview
from ops_platform.gdpr.subject import Identity, subject_key
from ops_platform.gdpr.tombstones import legal_holds, tombstone_store


class Preflight(Step[RecordedErasure]):
    """Read the catalogue and the subject's key.

    Refuses a legal hold, a map that does not fit the database, a store that is away.
    """

    name = "preflight"

    def perform(self, state: RecordedErasure) -> Result:
        context = state.context
        state.catalogue = data_stores.check(state.product, state.stores)
        context.ledger.check()
        if context.exports is not None:
            context.exports.check()
        state.subject = subject_key.parse(
            state.product, state.data_map, state.catalogue, context.term.stanza, state.case.subject
        )
        if tombstone_store.of_request(state.ops, state.case.request_id) is None:
            legal_holds.refuse(state.ops, state.subject)
        who, there = state.identify()
        rows = _rows_by_role(state, who)
        state.log(f"{sum(rows.values())} rows in {len(rows)} roles" if there else "there is no such account")
        return Result(details={"rows": rows, "account": there})


def _rows_by_role(state: RecordedErasure, who: Identity) -> dict[str, int]:
    """Count rows by ``table/role`` before anything is done; those that are none are left out."""
    shares = preview.preview(state.product, state.data_map, state.catalogue, who)
    return {f"{share.table}/{share.role}": share.rows for share in shares if share.rows}
