"""The steps that erase the subject's objects, rows and cached keys.

The verification finds what appears after a step.
"""

from __future__ import annotations

from dataclasses import replace

from ops_platform.gdpr import row_erasure
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.steps.base import ErasureState, RecordedErasure, Result, State, Step
from ops_platform.gdpr.export import archive_store
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.requests import work_queue


class EraseObjects(Step[State]):
    """Remove every version of the subject's objects, except those of people who have their name now."""

    name = "objects"
    once = True

    def perform(self, state: State) -> Result:
        """Raise CheckFailed when objects keep appearing, ObjectStoreRefused when the store keeps one."""
        return Result(data_stores.erase_objects(state.stores, state.current_inventory(), state.log))


class EraseObjectsAndExports(EraseObjects[RecordedErasure]):
    """Remove the subject's objects and the archives of their exports."""

    def perform(self, state: RecordedErasure) -> Result:
        """Raise NotYet while an export of the subject is being written."""
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
    """Erase the subject's rows as the map says, by every name that they have had meanwhile."""

    name = "rows"
    once = True

    def perform(self, state: ErasureState) -> Result:
        """Record the identifiers that others have by now, in the details."""
        state.refresh_inventory()
        # At home last: what is elsewhere can be told from others' only by what stands there.
        effects = [effect for database in reversed(state.databases) for effect in _erase(state, database)]
        # Objects may have been put below a name since the last look; somebody else can have it from now on.
        effects += data_stores.erase_objects(state.stores, state.current_inventory(), state.log)
        state.refresh_inventory()
        return Result(effects, {"taken": state.reused_names()})

    def adopt(self, state: ErasureState) -> None:
        """Refresh the inventory: the names may have changed since the earlier attempt."""
        state.refresh_inventory()


def _erase(state: ErasureState, database: OpenDatabase) -> list[Effect]:
    """Erase the rows of one database; return the effects, their places with its name."""
    place = database.data_map.place

    def progress(table: str, done: int) -> None:
        state.log(f"{place(table)}: {done} rows changed")

    with database.named():
        effects = row_erasure.erase(
            database.connection,
            database.data_map,
            database.catalogue,
            state.row_erasure_in(database),
            progress=progress,
        )
    return [replace(effect, place=place(effect.place)) for effect in effects]


class EraseCache(Step[ErasureState]):
    """Unlink the subject's keys."""

    name = "cache"
    once = True

    def perform(self, state: ErasureState) -> Result:
        """Raise CheckFailed when keys keep coming back."""
        # Keys of a shared name are erased once: what the cache holds there afterwards is the other's.
        first_time = self.name not in state.checkpoints.done
        return Result(data_stores.erase_keys(state.stores, state.current_inventory(), shared=first_time))
