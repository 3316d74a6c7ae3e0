"""The check that rows which refer to deleted rows are in the map, by the catalogue's foreign keys."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByColumn, ByParent, DataMap, Delete
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Reference


def check(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """Require each reference to deleted rows to be in the map: else a delete fails, or cascades."""
    gone = {
        table.name
        for table, belonging in data_map.belongings()
        if isinstance(belonging.erasure, Delete) and belonging.erasure.otherwise is None
    }
    for reference in catalogue.references:
        table = data_map.tables.get(reference.table)
        where = f"{reference.table}.{'+'.join(reference.columns)}"
        if reference.target not in gone | _deleting(data_map) | {data_map.subject.table}:
            continue
        if not _indexed(reference, catalogue):
            yield Finding(
                where,
                "no-index",
                f"refers to {reference.target} without an index that begins with it: "
                "each delete there would read this whole table",
            )
        covering = (
            []
            if table is None
            else [belonging for belonging in table.belongings if _covers(belonging, reference)]
        )
        if reference.target == data_map.subject.table and not covering:
            yield Finding(
                where,
                "unlinked-reference",
                f"refers to {reference.target}, the subject: say so in rows, as a role",
            )
        elif reference.target in gone and not any(_lets_go(belonging, reference) for belonging in covering):
            yield Finding(
                where,
                "reference-left",
                f"refers to rows of {reference.target} that go ({reference.on_delete}): rows of this table "
                "must be deleted too, or have the column set, or those be deleted only unless referenced",
            )


def _deleting(data_map: DataMap) -> set[Name]:
    """Select the tables from which erasure may delete rows."""
    return {table.name for table, belonging in data_map.belongings() if isinstance(belonging.erasure, Delete)}


def _covers(belonging: Belonging, reference: Reference) -> bool:
    way = belonging.way
    if isinstance(way, ByColumn):
        return (way.column, way.holds) in zip(reference.columns, reference.target_columns, strict=True)
    if isinstance(way, ByParent):
        pairs = zip(reference.columns, reference.target_columns, strict=True)
        return way.table == reference.target and (way.column, way.to) in pairs
    return False


def _lets_go(belonging: Belonging, reference: Reference) -> bool:
    """Tell whether erasure deletes the referring row or sets its referring column."""
    erasure = belonging.erasure
    if isinstance(erasure, Delete):
        return erasure.otherwise is None or bool(set(erasure.otherwise) & set(reference.columns))
    return isinstance(erasure, Anonymise) and bool(set(erasure.columns) & set(reference.columns))


def _indexed(reference: Reference, catalogue: Catalogue) -> bool:
    relation = catalogue.relations.get(reference.table)
    width = len(reference.columns)
    return relation is not None and any(
        set(index[:width]) == set(reference.columns) for index in relation.leading if len(index) >= width
    )
