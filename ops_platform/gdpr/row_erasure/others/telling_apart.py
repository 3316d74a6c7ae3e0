"""The statement of how others were told apart: by foreign keys, only by the data map, or not at all."""

from __future__ import annotations

from typing import Any

from ops_platform.gdpr.data_map import ByMention, DataMap, Keep
from ops_platform.gdpr.row_erasure.others.owners import DEPTH, Ownership
from ops_platform.gdpr.schema import Catalogue


def told_apart(data_map: DataMap, catalogue: Catalogue) -> dict[str, Any]:
    """Say by what the rows of others were told from the subject's, for each table that an erasure changes.

    ``by_foreign_keys``: a foreign key leads from its rows to a subject, or from rows of subjects to them.
    ``by_data_map_only``: none does, so only the map says whose a row is. ``not_at_all``: nor does the map,
    for rows are found by what their text mentions.
    """
    ownership = Ownership(data_map.subject, catalogue)
    linked = len(ownership.distances) > 1
    by_keys, by_map, by_nothing = list[str](), list[str](), list[str]()
    for name, table in data_map.tables.items():
        roles = [role for role in table.belongings if not isinstance(role.erasure, Keep)]
        if not roles or name not in catalogue.relations:
            continue
        leads = name in ownership.distances or any(
            reference.table in ownership.distances for reference in catalogue.referring(name)
        )
        if leads and linked:
            by_keys.append(str(name))
        elif any(isinstance(role.way, ByMention) for role in roles):
            by_nothing.append(str(name))
        else:
            by_map.append(str(name))
    return {
        "by_foreign_keys": sorted(by_keys),
        "by_data_map_only": sorted(by_map),
        "not_at_all": sorted(by_nothing),
        "statement": _statement(catalogue, linked=linked) + _of_kinds(data_map),
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
        f" Subjects of other kinds ({kinds}) were told apart by their roles in the data map." if kinds else ""
    )
