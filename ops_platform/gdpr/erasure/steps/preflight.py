"""The first step: find the subject and check all that the erasure will need; nothing is written yet."""

from __future__ import annotations

from dataclasses import replace

from ops_platform.gdpr import connections, row_erasure
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.erasure import inventory, product_inventory
from ops_platform.gdpr.erasure.checkpoints import Log
from ops_platform.gdpr.erasure.steps.base import ErasureState, RecordedErasure, Result, Step
from ops_platform.gdpr.row_erasure import Foresight, RowErasure, others, preview
from ops_platform.gdpr.subject import Identity, SubjectKey, subject_key
from ops_platform.gdpr.tombstones import legal_holds, tombstone_store


class Preflight(Step[RecordedErasure]):
    """Read the catalogue and the subject's key, and check stores, map and legal holds."""

    name = "preflight"

    def perform(self, state: RecordedErasure) -> Result:
        """Set ``catalogue``, ``subject`` and ``foreseen``.

        Raises Held for a legal hold, CheckFailed for a map that does not fit the database or would leave
        something of the subject, Unavailable for a store that is away.
        """
        context = state.context
        state.check()
        stanzas, own = connections.server_stanzas, context.term.stanza
        stanzas.refuse_untrue(state.databases, own)
        stanzas.refuse_elsewhere(state.databases, own, context.stanza_server, state.log)
        context.ledger.check()
        if context.exports is not None:
            context.exports.check()
        state.subject = self._subject(state)
        tombstone_store.refuse_other_kind(state.ops, state.subject)
        if tombstone_store.of_request(state.ops, state.case.request_id) is None:
            legal_holds.refuse(state.ops, state.subject)
        identity, has_row = state.identify()
        erasure = self._foreseen(state, identity, has_row=has_row)
        if erasure is not None:
            refuse_uncovered(state, erasure)
        rows = _rows_by_role(state, identity)
        state.log(
            f"{sum(rows.values())} rows in {len(rows)} roles" if has_row else "there is no such account"
        )
        return Result(details={"rows": rows, "account": has_row, "subject_type": state.subject.kind})

    def searches_for(self, state: RecordedErasure) -> RowErasure | None:
        """Describe the erasure that the preflight will foresee."""
        state.check()
        state.subject = self._subject(state)
        identity, has_row = state.identify()
        return self._foreseen(state, identity, has_row=has_row)

    def _subject(self, state: RecordedErasure) -> SubjectKey:
        stanza = state.context.term.stanza
        return subject_key.parse(state.product, state.data_map, state.catalogue, stanza, state.case.subject)

    def _foreseen(self, state: RecordedErasure, identity: Identity, *, has_row: bool) -> RowErasure | None:
        """Describe the erasure by all that this attempt and earlier ones know; None: the rows are erased."""
        known = state.known()
        if known is None:
            for request_id in (state.case.request_id, *state.unfinished()):
                product_inventory.refuse_lost(
                    state.databases, request_id, has_row=has_row, name=f"the erasure {request_id}"
                )
        if state.checkpoints.first_erasure() is not None:
            return None  # the verification searches
        tombstone = tombstone_store.of_request(state.ops, state.case.request_id)
        cutoff = tombstone.erased_at if tombstone else state.began
        present = state.present(identity, cutoff, has_row=has_row)
        state.foreseen = present, has_row
        foreseen = inventory.merge(known, present, sure=has_row)
        return state.erasure_of_rows(foreseen, cutoff)


def refuse_uncovered(state: ErasureState, erasure: RowErasure) -> None:
    """Raise CheckFailed where the erasure would leave the subject in a place that the map does not accept.

    And where rows are another subject's, too, and the map does not say what becomes of them. In all
    databases, before anything is destroyed in one.
    """
    for database in state.databases:
        with database.named():
            foresight = state.joint.foresight(database.name, erasure)
            _refuse_in(database, replace(erasure, home=database.home), foresight, state.log)


def _refuse_in(database: OpenDatabase, erasure: RowErasure, foresight: Foresight | None, log: Log) -> None:
    place = database.data_map.place
    where = database.connection, database.data_map, database.catalogue
    row_erasure.refuse_unredactable(*where, erasure)
    if foresight is None:
        foresight = row_erasure.foresee(*where, erasure)
    foresight.refuse()
    shared = row_erasure.find_shared(*where, erasure)
    others.register.refuse(shared)
    for rows in shared:
        log(f"shared with others: {place(rows)}: {rows.becomes}")
    for hit in foresight.accepted:
        column = place(f"{hit.table}.{hit.column}")
        log(f"accepted: the subject stays named in {hit.rows} rows of {column}")


def _rows_by_role(state: RecordedErasure, identity: Identity) -> dict[str, int]:
    """Count the subject's rows by ``table/role``; zeros are left out."""
    return {
        database.data_map.place(f"{share.table}/{share.role}"): share.rows
        for database in state.databases
        for share in preview.preview(database.connection, database.data_map, database.catalogue, identity)
        if share.rows
    }
