"""Erase the subject's objects, rows and cached keys. What comes after a step, the verification finds."""

from __future__ import annotations

from ops_platform.gdpr import row_erasure
from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.steps.base import ErasureState, RecordedErasure, Result, State, Step
from ops_platform.gdpr.export import archive_store
from ops_platform.gdpr.requests import work_queue


class EraseObjects(Step[State]):
    """Remove every version of the subject's objects, but those of whoever has their name now."""

    name = "objects"
    once = True

    def perform(self, state: State) -> Result:
        return Result(data_stores.erase_objects(state.stores, state.inventory_apart(), state.log))


class EraseObjectsAndExports(EraseObjects[RecordedErasure]):
    """Remove the subject's objects and the archives of their exports. Raises NotYet while one is written."""

    def perform(self, state: RecordedErasure) -> Result:
        subject, bucket = state.subject_id, state.context.exports
        if subject is not None and work_queue.export_under_way(state.ops, subject):
            # It read what was there before, and would leave its archive behind.
            raise work_queue.NotYet(
                "an export of the same subject is being written: the erasure goes on after it"
            )
        effects = [*super().perform(state).effects]
        if bucket is not None and subject is not None:
            effects.append(archive_store.remove(state.ops, bucket, subject, state.context.clock()))
        return Result(effects)


class EraseRows(Step[ErasureState]):
    """Do to the subject's rows what the map says, by every name that they have had meanwhile."""

    name = "rows"
    once = True

    def perform(self, state: ErasureState) -> Result:
        state.look_again()
        effects = row_erasure.erase(
            state.product,
            state.data_map,
            state.catalogue,
            state.erasing(),
            progress=lambda place, done: state.log(f"{place}: {done} rows changed"),
        )
        # What was put below a name since it was looked there, before somebody else can have that name.
        effects += data_stores.erase_objects(state.stores, state.inventory_apart(), state.log)
        state.look_again()
        return Result(effects, {"taken": state.names_taken()})

    def adopt(self, state: ErasureState) -> None:
        state.look_again()


class EraseCache(Step[ErasureState]):
    """Unlink the subject's keys."""

    name = "cache"
    once = True

    def perform(self, state: ErasureState) -> Result:
        # Of a shared name once: what the cache holds there afterwards is the other's.
        first = self.name not in state.checkpoints.done
        return Result(data_stores.erase_keys(state.stores, state.inventory_apart(), shared=first))
