"""The check that rows which refer to deleted rows are in the map, by the catalogue's foreign keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByColumn, ByParent, DataMap, Delete
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Reference, index_predicate


def check(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """Require each reference to deleted rows to be in the map: else a delete fails, or cascades."""
    deleting = _deleting(data_map) | {data_map.subject.table}
    for reference in catalogue.references:
        if reference.target not in deleting:
            continue
        if not _indexed(reference, catalogue):
            yield Finding(
                _place(reference),
                "no-index",
                f"refers to {reference.target} without an index that begins with it: "
                "each delete there would read this whole table",
                Finding.places(reference.table, *reference.columns),
            )
        if finding := uncovered(reference, data_map, catalogue):
            yield finding


def uncovered(reference: Reference, data_map: DataMap, catalogue: Catalogue) -> Finding | None:
    """Find that rows refer to the subject in no role, or would refer to rows that go."""
    table = data_map.tables.get(reference.table)
    covering = [
        belonging
        for belonging in (table.belongings if table else ())
        if _covers(belonging, reference, data_map, catalogue)
    ]
    if reference.target == data_map.subject.table and not covering:
        return Finding(
            _place(reference),
            "unlinked-reference",
            f"refers to {reference.target}, the subject: say so in rows, as a role without where by "
            f"{_columns(reference)}",
        )
    if reference.target not in _gone(data_map):
        return None
    letting_go = [belonging for belonging in covering if _lets_go(belonging, reference)]
    if not letting_go:
        return Finding(
            _place(reference),
            "reference-left",
            f"refers to rows of {reference.target} that go ({reference.on_delete}): rows of this table "
            f"must be deleted too, by a role without where by {_columns(reference)}, or have the column "
            "set, or those be deleted only unless referenced",
        )
    if all(_stays_referring(belonging, reference, data_map) for belonging in letting_go):
        return Finding(
            _place(reference),
            "shared-reference-left",
            f"rows that shared keeps for others refer to rows of {reference.target} that go "
            f"({reference.on_delete}): an erasure would stop half-way: say in shared that those stay, too, "
            "or that these go, or set the column in them",
        )
    return None


def _place(reference: Reference) -> str:
    return f"{reference.table}.{'+'.join(reference.columns)}"


def _gone(data_map: DataMap) -> set[Name]:
    """Select the tables from which erasure deletes rows, referenced or not."""
    return {
        table.name
        for table, belonging in data_map.belongings()
        if isinstance(belonging.erasure, Delete) and belonging.erasure.otherwise is None
    }


def _columns(reference: Reference) -> str:
    return "its column" if len(reference.columns) == 1 else f"all of {', '.join(reference.columns)}"


def _deleting(data_map: DataMap) -> set[Name]:
    """Select the tables from which erasure may delete rows."""
    return {table.name for table, belonging in data_map.belongings() if isinstance(belonging.erasure, Delete)}


def _covers(belonging: Belonging, reference: Reference, data_map: DataMap, catalogue: Catalogue) -> bool:
    """Tell whether the role finds every row that refers to a row of the subject's by this foreign key.

    Rows that ``where`` leaves out may refer to it as well.
    """
    if belonging.where:
        return False
    way = belonging.way
    if not set(way.columns) <= set(reference.columns):
        return False
    if isinstance(way, ByColumn):
        return any(
            _determines(_targets(way, held, reference), reference, catalogue)
            for held in _held_by_target(reference.target, data_map)
        )
    if isinstance(way, ByParent) and way.table == reference.target:
        parent = data_map.tables.get(way.table)
        if any(
            belonging.erasure == Delete() and not way.goes_through(belonging)
            for belonging in (parent.belongings if parent else ())
        ):
            # What refers to rows that go in another role is not found.
            return False
        return _determines(dict(zip(way.columns, way.to, strict=True)), reference, catalogue)
    return False


def _held_by_target(target: Name, data_map: DataMap) -> list[Mapping[str, str]]:
    """List what columns of the target hold of the subject: its own columns, or those of a role."""
    subject = data_map.subject
    if target == subject.table:
        return [{column: column for column in subject.columns}]
    table = data_map.tables.get(target)
    return [
        dict(zip(belonging.way.columns, belonging.way.holds, strict=True))
        for belonging in (table.belongings if table else ())
        if isinstance(belonging.way, ByColumn)
    ]


def _targets(way: ByColumn, held: Mapping[str, str], reference: Reference) -> dict[str, str]:
    """Map the role's columns to the target's columns that hold the same of the subject."""
    return {
        column: target
        for column, holds in zip(way.columns, way.holds, strict=True)
        for target in reference.target_columns
        if held.get(target) == holds
    }


def _determines(targets: Mapping[str, str], reference: Reference, catalogue: Catalogue) -> bool:
    """Tell whether the columns in ``targets`` are all those of the reference, or name one row as they are."""
    pairs = dict(zip(reference.columns, reference.target_columns, strict=True))
    if any(pairs[column] != target for column, target in targets.items()):
        return False
    target = catalogue.relations.get(reference.target)
    return targets == pairs or (target is not None and target.identified_by(targets.values()))


def _lets_go(belonging: Belonging, reference: Reference) -> bool:
    """Tell whether erasure deletes the referring row or sets its referring column."""
    erasure, referring = belonging.erasure, set(reference.columns)
    if isinstance(erasure, Delete):
        return erasure.otherwise is None or bool(set(erasure.otherwise) & referring)
    return isinstance(erasure, Anonymise) and bool(set(erasure.columns) & referring)


def _stays_referring(belonging: Belonging, reference: Reference, data_map: DataMap) -> bool:
    """Tell whether rows of the role that others need go on referring to rows that do not stay for them."""
    stays = belonging.shared == "keep" or (
        bool(belonging.replaced) and not set(reference.columns) & set(belonging.replaced)
    )
    return stays and not _stays_for_others(reference.target, data_map)


def _stays_for_others(table: Name, data_map: DataMap) -> bool:
    """Tell whether all rows of the table stay that others need, to which what is kept for them may refer."""
    return all(
        belonging.shared in ("keep", "stand_in")
        for belonging in data_map.tables[table].belongings
        if isinstance(belonging.erasure, Delete) and belonging.erasure.otherwise is None
    )


def _indexed(reference: Reference, catalogue: Catalogue) -> bool:
    relation = catalogue.relations.get(reference.table)
    if relation is None:
        return False
    width, columns = len(reference.columns), set(reference.columns)
    indexes = [
        *relation.leading,
        *(
            index.columns
            for index in relation.partial
            # What is NULL refers to nothing.
            if index.ordered
            and all(
                name in columns and condition == index_predicate.NOT_NULL
                for name, condition in index.conditions.items()
            )
        ),
    ]
    return relation.small or any(set(index[:width]) == columns for index in indexes if len(index) >= width)
