"""The steps that write the tombstone and the inventory, before anything is destroyed.

Both outlive the subject's data: a later crash can only repeat the erasure, never lose it or its subject.
"""

from __future__ import annotations

from ops_platform.gdpr.erasure import data_stores, inventory, product_inventory
from ops_platform.gdpr.erasure.steps.base import RecordedErasure, Result, Step
from ops_platform.gdpr.requests import FINISH_WITHIN, precedence, work_queue
from ops_platform.gdpr.tombstones import tombstone_store


class WriteTombstone(Step[RecordedErasure]):
    """Write the request's one tombstone to the ops database and, sealed and locked, to the ledger."""

    name = "tombstone"

    def perform(self, state: RecordedErasure) -> Result:
        """Set ``tombstone``, which may be an earlier attempt's. Raise NotYet while an export goes first."""
        context = state.context
        if precedence.erasure_waits(state.ops, state.case.request_id, context.clock()):
            raise work_queue.NotYet("the subject has confirmed an export meanwhile: the erasure waits for it")
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
    """Seal the subject's identifiers and places, in all databases; add to what an earlier attempt sealed."""

    name = "inventory"

    def perform(self, state: RecordedErasure) -> Result:
        """Set ``inventory``; the first time, count the objects and keys."""
        keys, request_id = state.context.keys, state.case.request_id
        with state.ops.transaction():
            # What one of the databases has forgotten in a restore, the other may know.
            for stored in state.stored(request_id):
                inventory.keep(state.ops, keys, request_id, stored)
            state.refresh_inventory()
            # Only an abandoned erasure of the same subject may still know their names.
            for earlier in state.unfinished():
                for stored in state.stored(earlier):
                    state.inventory = inventory.keep(state.ops, keys, request_id, stored)
        product_inventory.keep_everywhere(state.databases, keys, request_id, state.inventory)
        state.remember_identity(state.context.term.expires(state.tombstone.erased_at + FINISH_WITHIN))
        if self.name in state.checkpoints.done:
            return Result()
        # Counted before anything is destroyed: an attempt that is killed later cannot say what it removed.
        return Result(data_stores.objects_and_keys(state.stores, state.current_inventory()))
