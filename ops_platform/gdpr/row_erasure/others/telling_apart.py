"""The statement of how others were told apart: by foreign keys, only by the data map, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ops_platform.gdpr.data_map import Belonging, ByColumn, ByMention, ByParent, DataMap, Keep
from ops_platform.gdpr.row_erasure.others.anybody import takes
from ops_platform.gdpr.row_erasure.others.owners import DEPTH, Ownership
from ops_platform.gdpr.schema import Catalogue, Name


def told_apart(data_map: DataMap, catalogue: Catalogue) -> dict[str, Any]:
    """Say by what the rows of others were told from the subject's, for each table that an erasure changes.

    ``by_foreign_keys``: its rows are found by a foreign key, or each leads to somebody by one and was asked.
    ``by_data_map_only``: only the map says whose a row is; a foreign key that may be NULL told some apart at
    most. ``not_at_all``: nor does the map, for rows are found by what their text mentions. Where a table's
    roles differ, each is named. ``without_digests``: triggers of the table are declared to change others.
    """
    ownership = Ownership(data_map.subject, catalogue)
    linked = len(ownership.distances) > 1
    places: dict[str, list[str]] = {"by_foreign_keys": [], "by_data_map_only": [], "not_at_all": []}
    without_digests = list[str]()
    for name, table in data_map.tables.items():
        roles = [role for role in table.belongings if not isinstance(role.erasure, Keep)]
        if not roles or name not in catalogue.relations:
            continue
        told = {
            role.role: _told(data_map, ownership, name, role) if linked else _without_keys(role)
            for role in roles
        }
        for role, by in told.items():
            place = str(name) if len({*told.values()}) == 1 else f"{name} ({role})"
            if place not in places[by]:
                places[by].append(place)
        if table.triggers:
            without_digests.append(str(name))
    return {
        **{by: sorted(named) for by, named in places.items()},
        "without_digests": sorted(without_digests),
        "statement": _statement(catalogue, linked=linked) + _of_kinds(data_map),
    }


def join_told(maps: Sequence[DataMap], told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join what ``told_apart`` said of each of the databases of ``maps``."""
    named = [*zip(maps, told, strict=True)]
    return {
        **{
            name: [data_map.place(table) for data_map, said in named for table in said[name]]
            for name in ("by_foreign_keys", "by_data_map_only", "not_at_all", "without_digests")
        },
        "statement": " ".join(data_map.place(said["statement"]) for data_map, said in named),
    }


def _statement(catalogue: Catalogue, *, linked: bool) -> str:
    return (
        f"Foreign keys of the database were followed up to {DEPTH} references to the nearest subject."
        if linked
        else "No foreign key of the database leads to the subjects' table: only the data map told others "
        "apart."
        if catalogue.references
        else "The database has no foreign keys between its tables: only the data map told others apart."
    )


def _of_kinds(data_map: DataMap) -> str:
    kinds = ", ".join(other.subject.kind for other in data_map.others)
    return (
        f" Subjects of other kinds ({kinds}) were told apart by their roles in the data map; rows around the "
        "changed ones that foreign keys give to them were compared before and after."
        if kinds
        else ""
    )


def _without_keys(role: Belonging) -> str:
    return "not_at_all" if isinstance(role.way, ByMention) else "by_data_map_only"


def _told(data_map: DataMap, ownership: Ownership, table: Name, role: Belonging) -> str:
    if _by_its_key(data_map, ownership, table, role):
        return "by_foreign_keys"
    # Roles that take nothing from others are not asked.
    asked = takes(role) and not isinstance(role.way, ByMention)
    return "by_foreign_keys" if asked and ownership.always_somebodys(table) else _without_keys(role)


def _by_its_key(data_map: DataMap, ownership: Ownership, table: Name, role: Belonging) -> bool:
    """Tell whether a foreign key, or the subject's own key, is what the role finds its rows by."""
    way, subject = role.way, data_map.subject
    if isinstance(way, ByColumn):
        target, pairs = subject.table, {*zip(way.columns, way.holds, strict=True)}
        if table == subject.table and {(column, column) for column in subject.key} <= pairs:
            return True
    elif isinstance(way, ByParent):
        target, pairs = way.table, {*zip(way.columns, way.to, strict=True)}
        parents = [one for one in data_map.tables[way.table].belongings if way.goes_through(one)]
        if not all(_by_its_key(data_map, ownership, way.table, one) for one in parents):
            return False
    else:
        return False
    return any(
        (
            (reference.table, reference.target) == (table, target)
            and {*zip(reference.columns, reference.target_columns, strict=True)} <= pairs
        )
        or (
            (reference.table, reference.target) == (target, table)
            and {*zip(reference.target_columns, reference.columns, strict=True)} <= pairs
        )
        for reference in ownership.catalogue.references
    )
