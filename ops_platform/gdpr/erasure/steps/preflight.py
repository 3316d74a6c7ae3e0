"""The first step: find the subject and check all that the erasure will need; nothing is written yet."""

from __future__ import annotations

from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.steps.base import RecordedErasure, Result, Step
from ops_platform.gdpr.row_erasure import preview
from ops_platform.gdpr.subject import Identity, subject_key
from ops_platform.gdpr.tombstones import legal_holds, tombstone_store


class Preflight(Step[RecordedErasure]):
    """Read the catalogue and the subject's key, and check stores, map and legal holds."""

    name = "preflight"

    def perform(self, state: RecordedErasure) -> Result:
        """Set ``catalogue`` and ``subject``.

        Raises Held for a legal hold, CheckFailed for a map that does not fit the database, Unavailable for
        a store that is away.
        """
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
        identity, has_row = state.identify()
        rows = _rows_by_role(state, identity)
        state.log(
            f"{sum(rows.values())} rows in {len(rows)} roles" if has_row else "there is no such account"
        )
        return Result(details={"rows": rows, "account": has_row})


def _rows_by_role(state: RecordedErasure, identity: Identity) -> dict[str, int]:
    """Count the subject's rows by ``table/role``; zeros are left out."""
    shares = preview.preview(state.product, state.data_map, state.catalogue, identity)
    return {f"{share.table}/{share.role}": share.rows for share in shares if share.rows}
