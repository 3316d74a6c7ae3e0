"""Replay of tombstones on a restored database, with the engine that erased the subjects first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import map_check, row_erasure, schema
from ops_platform.gdpr.after_restore import older_schema
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap, kinds
from ops_platform.gdpr.erasure import inventory, product_inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import RowErasure, materialised_views
from ops_platform.gdpr.subject import row_predicates, subject_key
from ops_platform.gdpr.tombstones import SealingKeys, Tombstone

HARMLESS = (
    *("no-index", "undecided", "undecided-link", "undecided-column", "untrue-reference"),
    *("trigger-changes", "trigger-undoes", "waived-nowhere"),
    *("shared-without-key", "shared-reference-left"),
)
"""Codes of findings that only make an erasure slow, leave texts unwritten, ask for a decision on a column,
are read in the source of triggers, or fear for rows that others need: that they change, or would refer to
what goes.

Who was erased before the decision is erased again by what was decided then; whether a change holds is proved
in its transaction.
"""


@dataclass(frozen=True)
class Replayed:
    """Counts of one replay.

    ``came_back``: tombstoned subjects of whom data was found; ``effects``: summed over all of them.
    ``unredactable``: rows of others, by place, in which an identifier stands where it cannot be replaced.
    ``left_to_others``: rows that others reach, too, of which the map does not say what becomes. ``requests``:
    of those who came back, by the ids of their tombstones' requests. ``not_there``: names of databases of the
    data map that the restored moment does not have.
    """

    tombstones: int
    came_back: int
    effects: tuple[Effect, ...]
    unredactable: tuple[Effect, ...] = ()
    left_to_others: tuple[Effect, ...] = ()
    requests: frozenset[str] = frozenset()
    not_there: tuple[str, ...] = ()

    def __or__(self, other: Replayed) -> Replayed:
        """Join with a replay of the same tombstones in another database."""
        requests = self.requests | other.requests
        return Replayed(
            max(self.tombstones, other.tombstones),
            len(requests),
            (*self.effects, *other.effects),
            (*self.unredactable, *other.unredactable),
            (*self.left_to_others, *other.left_to_others),
            requests,
            (*self.not_there, *other.not_there),
        )


@dataclass
class _Left:
    """What one replay could not do, and left to people."""

    unredactable: list[Effect] = field(default_factory=list)
    to_others: list[Effect] = field(default_factory=list)


def replay(
    connection: Connection,
    data_map: DataMap,
    tombstones: Sequence[Tombstone],
    log: Callable[[str], None] = lambda line: None,
    keys: SealingKeys | None = None,
    home: OpenDatabase | None = None,
) -> Replayed:
    """Erase the tombstoned subjects in the restored database; spare rows newer than their cutoffs.

    ``connection`` is in autocommit mode. The map is the newest; what an older database does not have yet
    is passed over. Safe to repeat. A tombstone without ``completed_at`` is of an erasure that goes on
    later: what is done of it here is recorded as its own, for its certificate. ``keys``: they seal who was
    meant, for a replay that goes on after a kill; None: it can be read there. ``home``: the database with the
    subjects' rows, for a part of the map about another one: where it was restored, too, its own replay comes
    last, since a row of then says by which names its subject was known then. Raises CheckFailed when
    the map does not fit the database or something is left: the database must not take traffic then.
    """
    if not tombstones:
        return Replayed(0, 0, ())
    database = opened(connection, data_map, home)
    fitted, catalogue = database.data_map, database.catalogue
    of_kind = {
        kind: older_schema.fit(of_subject, catalogue)
        for kind, of_subject in _maps(data_map, tombstones).items()
    }
    requests, effects, all_left = set[str](), list[Effect](), _Left()
    for number, tombstone in enumerate(tombstones, 1):
        of_subject = of_kind[tombstone.subject_key.kind]
        if not any(table.belongings for table in of_subject.tables.values()):
            continue  # in the restored moment there were no subjects of this kind yet
        erased, left = _erase(replace(database, data_map=of_subject), tombstone, keys)
        for effect in left.to_others:
            log(
                f"tombstone {number} of {len(tombstones)}: {_said(effect)}: they were left: delete them by "
                f"hand where they are nobody else's, request {tombstone.request_id}"
            )
        for effect in left.unredactable:
            log(
                f"tombstone {number} of {len(tombstones)}: in {effect.before} rows of {effect.place} an "
                f"identifier cannot be replaced: take it out by hand, request {tombstone.request_id}"
            )
        all_left.unredactable += left.unredactable
        all_left.to_others += left.to_others
        if erased:
            requests.add(tombstone.request_id)
            effects += erased
            log(f"tombstone {number} of {len(tombstones)}: erased again, request {tombstone.request_id}")
    # Always: a replay that was killed before its refresh has left erased rows in the views.
    materialised_views.refresh(connection, fitted, catalogue)
    return Replayed(
        len(tombstones),
        len(requests),
        _sums(fitted, effects),
        _sums(fitted, all_left.unredactable),
        _sums(fitted, all_left.to_others),
        frozenset(requests),
    )


def opened(connection: Connection, data_map: DataMap, home: OpenDatabase | None = None) -> OpenDatabase:
    """Fit the newest map to the restored database. Raises CheckFailed when it does not fit."""
    with connection.transaction():
        catalogue = schema.read(connection)
        database = OpenDatabase(older_schema.fit(data_map, catalogue), connection, catalogue, home)
        findings = [finding for finding in map_check.check_database(database) if finding.code not in HARMLESS]
    if findings:
        first = ", ".join(f"{finding.where} ({finding.code})" for finding in findings[:3])
        raise CheckFailed(
            f"the data map does not fit the restored database in {len(findings)} places, as {first}: "
            "'ops-platform gdpr map check' against it says what to add"
        )
    return database


def _said(left: Effect) -> str:
    return (
        f"{left.after} rows of {left.place} ({left.role}) are somebody else's, too, in the restored moment, "
        "and the data map does not say in shared what becomes of such rows"
    )


def _maps(data_map: DataMap, tombstones: Iterable[Tombstone]) -> dict[str, DataMap]:
    """Find the map of every kind of subject that was erased. Raises CheckFailed when one is not there."""
    maps: dict[str, DataMap] = {}
    for tombstone in tombstones:
        kind = tombstone.subject_key.kind
        found = maps.get(kind) or kinds.find(data_map, kind)
        if found is None:
            known = " and ".join(kinds.names(data_map))
            raise CheckFailed(
                f"a {kind} was erased (request {tombstone.request_id}), but the data map has only the kind "
                f"{known}, whose keys may be equal: use a map that has it, too, and let the restored "
                "database take no traffic before"
            )
        maps[kind] = found
    return maps


def _erase(
    database: OpenDatabase, tombstone: Tombstone, keys: SealingKeys | None
) -> tuple[list[Effect], _Left]:
    """Erase one subject; return the effects, none when nothing of them was found, and what was left."""
    connection, data_map, catalogue = database.connection, database.data_map, database.catalogue
    home = database.home or database
    key = subject_key.values(connection, data_map.subject, tombstone.subject_key)
    subjects = (home.connection, home.data_map, home.catalogue)
    identity = row_predicates.identity(*subjects, tombstone.subject_key.key)
    has_row = identity is not None
    if identity is None:
        # Rows elsewhere may still hold the key.
        identity = row_predicates.with_side_tables(*subjects, key)
    replay_id = f"replay {tombstone.request_id}"
    unfinished = tombstone.completed_at is None
    erasure_id = tombstone.request_id if unfinished else replay_id
    # What the erasure knew that the restored moment interrupts, and a replay that was killed: each has
    # erased rows that said it.
    known = None
    for begun_id in (tombstone.request_id, replay_id):
        for journal in dict.fromkeys((home.connection, connection)):
            stored = product_inventory.find(journal, keys, begun_id)
            known = known if stored is None else inventory.merge(known, stored, sure=True)
    if tombstone.identity is not None:
        # In the restored moment they may have had another name, or the product had deleted the row, or not
        # made it yet: only the first erasure knows what else was theirs.
        first = inventory.read(tombstone.identity, keys, tombstone.request_id)
        known = inventory.merge(known, first, sure=True)
    names = inventory.merge(known, inventory.take(data_map, identity), sure=has_row)
    erasing = RowErasure(
        erasure_id,
        names.identity,
        tombstone.erased_at,
        replay=True,
        later_identities=names.later_identities,
        named_until=names.until,
        home=database.home,
    )
    effects, left = list[Effect](), _Left()
    if row_erasure.remaining(connection, data_map, catalogue, erasing):
        product_inventory.keep(connection, keys, erasure_id, names, sure=has_row)
        try:
            effects = row_erasure.erase(connection, data_map, catalogue, erasing)
        except CheckFailed as error:
            # Mostly they are what stands in its way: the subject's row cannot go while they refer to it.
            undecided = row_erasure.left_to_others(connection, data_map, erasing)
            if not undecided:
                raise
            also = "; ".join(map(_said, undecided))
            raise CheckFailed(f"{error}; {also}: say it there, then run the replay again") from None
        left.to_others += row_erasure.left_to_others(connection, data_map, erasing)
        remaining = row_erasure.remaining(connection, data_map, catalogue, erasing)
        if remaining:
            places = ", ".join(sorted({rows.place for rows in remaining}))
            raise CheckFailed(
                f"rows of an erased {tombstone.subject_key.kind} are left in {places} "
                f"(request {tombstone.request_id}): "
                "let the restored database take no traffic, and run the replay again"
            )
        left.unredactable += row_erasure.unredactable(connection, data_map, catalogue, erasing)
    row_erasure.forget(connection, replay_id)
    if not unfinished:
        # The first erasure's journal, restored with the data, leads from a pseudonym to a request.
        row_erasure.forget(connection, tombstone.request_id)
    return effects, left


def _sums(data_map: DataMap, effects: Iterable[Effect]) -> tuple[Effect, ...]:
    """Sum the effects over all subjects, by place, role and action; places are named with their database."""
    sums: dict[tuple[str, str, str], Effect] = {}
    for effect in effects:
        key = (effect.place, effect.role, effect.action)
        known = sums.get(key)
        sums[key] = (
            effect
            if known is None
            else replace(
                known,
                before=known.before + effect.before,
                changed=known.changed + effect.changed,
                after=known.after + effect.after,
            )
        )
    return tuple(replace(effect, place=data_map.place(effect.place)) for effect in sums.values())
