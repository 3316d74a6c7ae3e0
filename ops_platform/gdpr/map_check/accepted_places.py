"""The check of the places in which the map accepts that an erased subject is found."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.gdpr.data_map import Accepted, Anonymise, ByJson, ByParent, DataMap, Keep
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue


def check(data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """List accepted places that are not there, are never searched, or that a rule empties anyway."""
    return sorted({finding for place in data_map.accepted for finding in _place(place, data_map, catalogue)})


def _place(place: Accepted, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    relation = catalogue.relations.get(place.table)
    if relation is None or relation.kind in ("view", "partition"):
        reason = "is not there" if relation is None else f"is a {relation.kind}, which is never searched"
        yield Finding(str(place), "no-such-table", f"{reason}: remove it from accepted, or correct its name")
        return
    if place.column not in relation.columns:
        yield Finding(
            str(place), "no-such-column", "is not there: remove it from accepted, or correct its name"
        )
        return
    for role in _emptying(place, data_map):
        yield Finding(
            str(place),
            "accepted-and-erased",
            f"is accepted, but role {role} finds the subject by it and erases it: remove it from accepted",
        )


def _emptying(place: Accepted, data_map: DataMap) -> Iterator[str]:
    """Name the roles that find an identifier in the very column, and leave it in no row that they find."""
    table = data_map.tables.get(place.table)
    for belonging in table.belongings if table else ():
        way, erasure = belonging.way, belonging.erasure
        # A document may name the subject in other parts, too, and a table in rows of another type.
        if isinstance(way, ByParent | ByJson) or isinstance(erasure, Keep) or belonging.where:
            continue
        if way.columns != (place.column,):
            continue
        if not isinstance(erasure, Anonymise) or place.column in erasure.columns:
            yield belonging.role
