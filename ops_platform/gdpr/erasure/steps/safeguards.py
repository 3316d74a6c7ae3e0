"""Write the tombstone and the inventory, which outlive the subject's data, before anything is destroyed.

A crash later can only repeat the erasure, never lose it or forget whom it was about.
"""

from __future__ import annotations

from ops_platform.gdpr.erasure import data_stores, inventory
from ops_platform.gdpr.erasure.steps.base import RecordedErasure, Result, Step
from ops_platform.gdpr.tombstones import tombstone_store


class WriteTombstone(Step[RecordedErasure]):
    """Write the tombstone to the ops database and, sealed and locked, to the ledger; a request has one."""

    name = "tombstone"

    def perform(self, state: RecordedErasure) -> Result:
        context = state.context
        state.tombstone = tombstone_store.write(
            state.ops,
            context.ledger,
            context.keys,
            state.subject,
            request_id=state.case.request_id,
            map_version=state.data_map.version,
            term=context.term,
            now=context.clock(),
        )
        state.log("the tombstone is in the ops database and, sealed and locked, in the ledger")
        return Result()


class TakeInventory(Step[RecordedErasure]):
    """Seal who the subject is and where they have something; add to what an earlier attempt sealed."""

    name = "inventory"

    def perform(self, state: RecordedErasure) -> Result:
        keys, request_id = state.context.keys, state.case.request_id
        with state.ops.transaction():
            state.look_again()
            # An erasure of the same subject that was given up half-way may be all that knows their names.
            for earlier in state.unfinished():
                known = inventory.find(state.ops, keys, earlier)
                if known is not None:
                    state.inventory = inventory.keep(state.ops, keys, request_id, known)
        if self.name in state.checkpoints.done:
            return Result()
        # Counted before anything is destroyed: an attempt that is killed later cannot say what it removed.
        return Result(data_stores.objects_and_keys(state.stores, state.inventory_apart()))
