"""After a restore: whoever was erased is erased again, with the engine that erased them first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import map_check, row_erasure, schema
from ops_platform.gdpr.after_restore import older_schema as fitting
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import Erasing, materialised_views
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity, row_predicates, subject_key
from ops_platform.gdpr.tombstones import Tombstone

HARMLESS = ("no-index", "undecided")
"""Findings that make an erasure slow, or an export wordless, and nothing else."""


@dataclass(frozen=True)
class Replayed:
    """``came_back``: tombstoned subjects of whom there was something; ``effects``: of all of them."""

    tombstones: int
    came_back: int
    effects: tuple[Effect, ...]


def replay(
    connection: Connection,
    data_map: DataMap,
    found: Sequence[Tombstone],
    log: Callable[[str], None] = lambda line: None,
) -> Replayed:
    """Erase the subjects of ``found`` in the restored database; rows newer than their cutoffs are spared.

    ``connection`` commits by itself (autocommit). The map is the newest; what it names and an older
    database does not have yet is passed over. Safe to repeat. One without ``completed_at`` is an erasure
    that goes on later: what is done of it here is noted as its own, for its certificate. Raises
    CheckFailed when the map does not fit the database or something is left: it must not take traffic then.
    """
    if not found:
        return Replayed(0, 0, ())
    with connection.transaction():
        seen = schema.read(connection)
        fitted = fitting.fitting(data_map, seen)
        findings = [one for one in map_check.check(connection, fitted) if one.code not in HARMLESS]
    if findings:
        first = ", ".join(f"{one.where} ({one.code})" for one in findings[:3])
        raise CheckFailed(
            f"the data map does not fit the restored database in {len(findings)} places, as {first}: "
            "'ops-platform gdpr map check' against it says what to add"
        )
    came_back, effects = 0, list[Effect]()
    for number, one in enumerate(found, 1):
        done = _erase(connection, fitted, seen, one)
        if done:
            came_back += 1
            effects += done
            log(f"tombstone {number} of {len(found)}: erased again, request {one.request_id}")
    # Always: what a view keeps may come from a replay that was killed before this.
    materialised_views.refresh(connection, fitted, seen)
    return Replayed(len(found), came_back, tuple(_added(effects)))


def _erase(connection: Connection, data_map: DataMap, seen: Catalogue, one: Tombstone) -> list[Effect]:
    """What was done; nothing when there was nothing of the subject's."""
    who = row_predicates.identity(connection, data_map, seen, one.of.key)
    if who is None:
        # Rows elsewhere may still hold the key.
        who = Identity({data_map.subject.key: subject_key.value(connection, one.of)})
    replayed = f"replay {one.request_id}"
    unfinished = one.completed_at is None
    what = Erasing(one.request_id if unfinished else replayed, who, one.erased_at, replay=True)
    effects: list[Effect] = []
    if row_erasure.remaining(connection, data_map, seen, what):
        effects = row_erasure.erase(connection, data_map, seen, what)
        left = row_erasure.remaining(connection, data_map, seen, what)
        if left:
            places = ", ".join(sorted({each.place for each in left}))
            raise CheckFailed(
                f"rows of an erased {one.of.kind} are left in {places} (request {one.request_id}): "
                "let the restored database take no traffic, and run the replay again"
            )
    row_erasure.forget(connection, replayed)
    if not unfinished:
        # Restored with the data: the note of the first erasure, which leads from a pseudonym to a request.
        row_erasure.forget(connection, one.request_id)
    return effects


def _added(effects: Iterable[Effect]) -> list[Effect]:
    """Over all subjects, by table and role."""
    sums: dict[tuple[str, str, str], Effect] = {}
    for one in effects:
        key = (one.place, one.role, one.action)
        known = sums.get(key)
        sums[key] = (
            one
            if known is None
            else replace(
                known,
                before=known.before + one.before,
                changed=known.changed + one.changed,
                after=known.after + one.after,
            )
        )
    return list(sums.values())
