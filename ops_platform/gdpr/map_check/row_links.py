"""The check of what a role finds rows by: an index for it, types that can be compared, whole keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ops_platform.gdpr.data_map import (
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByMention,
    ByParent,
    DataMap,
    holds_of,
)
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.row_erasure import redaction
from ops_platform.gdpr.schema import Catalogue, Column, Relation, index_predicate

_TYPE_FAMILIES = {
    **dict.fromkeys(("text", "character varying", "character", "citext", "name"), "text"),
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric"), "number"),
}


def family(column: Column) -> str:
    """Name the types whose values can be compared with the column's."""
    return _TYPE_FAMILIES.get(column.base, column.base)


def may_name(column: Column, stem: str, subject: Relation | None, key: Collection[str]) -> bool:
    """Tell whether a column may hold what names the subject: the key, or another number or name of theirs.

    ``stem``: what the column's name says it is of. An address is no link of another table: a column with one
    is named after it. Texts that name the subject are held by columns that are called after people.
    """
    if subject is None:
        return False
    if family(column) in {family(subject.columns[name]) for name in key if name in subject.columns}:
        return True
    alone = {columns[0] for columns in (subject.key, *subject.unique) if len(columns) == 1}
    others = {
        family(other)
        for other in subject.columns.values()
        if other.name in alone
        and not other.generated
        and not column_names.is_address(other)
        and not column_names.is_credential(other)
    }
    after_people = column_names.words(stem)[-1:] and column_names.words(stem)[-1] in column_names.PEOPLE
    return family(column) in others and bool(
        family(column) != "text" or after_people or column_names.names(stem, subject.name)
    )


def check(
    where: str, belonging: Belonging, relation: Relation, data_map: DataMap, catalogue: Catalogue
) -> Iterator[Finding]:
    """List what is wrong with a role whose columns are all there. ``where``: its table and name."""
    way = belonging.way
    if isinstance(way, ByMention):
        yield from _mentions(where, way, relation, catalogue)
        return
    if not relation.small and not _indexed(belonging, relation):
        several = ", together with where," if belonging.where else ""
        yield Finding(
            where,
            "no-index",
            f"is found by {', '.join(way.columns)}, which{several} has no index",
            Finding.places(relation.name, *way.columns),
        )
    for name, target in zip(way.columns, _targets(belonging, data_map, catalogue), strict=True):
        column = relation.columns[name]
        if target is None or isinstance(way, ByJson):
            continue
        if family(column) != family(target) or column.array != isinstance(way, ByArray):
            message = f"{name} is {column.type}, but what it should hold is {target.type}"
            yield Finding(where, "other-type", message)
    if isinstance(way, ByColumn) and tuple(sorted(way.holds)) in data_map.subject.together:
        subject = catalogue.relations.get(data_map.subject.table)
        if subject is not None and not subject.identified_by(way.holds):
            message = f"holds {', '.join(way.holds)}, which several subjects can share: name more columns"
            yield Finding(where, "not-unique", message)
    if isinstance(way, ByParent):
        parent = catalogue.relations.get(way.table)
        missing = [name for name in way.to if parent is not None and name not in parent.columns]
        for name in missing:
            yield Finding(where, "no-such-column", f"{way.table} has no column {name}")
        if parent is not None and not missing:
            yield from _whole_key(where, way, relation, parent, catalogue)


def _mentions(where: str, way: ByMention, relation: Relation, catalogue: Catalogue) -> Iterator[Finding]:
    keys = {name for columns in (relation.key, *relation.unique) for name in columns}
    for reference in catalogue.references:
        keys |= set(reference.columns) if reference.table == relation.name else set()
        keys |= set(reference.target_columns) if reference.target == relation.name else set()
    for name in way.columns:
        column = relation.columns[name]
        if name in keys:
            message = f"redacts {name}, which is part of a key: rows could become equal, or refer to nothing"
            yield Finding(where, "redacted-key", message)
        if column.generated:
            yield Finding(
                where, "generated", f"redacts {name}, which is generated: redact what it is made from"
            )
        elif not redaction.can_redact(column):
            message = f"redacts {name}, which is {column.type}: only texts and JSON documents can be redacted"
            yield Finding(where, "other-type", message)


def _indexed(belonging: Belonging, relation: Relation) -> bool:
    """Tell whether an index begins with a column that the role goes by, after columns of ``where``."""
    columns = set(belonging.way.columns)
    indexes = [*relation.leading]
    first = set(relation.indexed)
    for index in relation.partial:
        if all(_implies(belonging, name, condition) for name, condition in index.conditions.items()):
            first.add(index.columns[0])
            if index.ordered:
                indexes.append(index.columns)
    return bool(columns & first) or any(
        place and set(index[:place]) <= set(belonging.where) and column in columns
        for index in indexes
        for place, column in enumerate(index)
    )


def _implies(belonging: Belonging, column: str, condition: str) -> bool:
    """Tell whether all rows that the role finds meet the condition of a partial index."""
    if column in belonging.way.columns:
        # What is NULL equals nothing.
        return condition == index_predicate.NOT_NULL
    values = [constant.value for constant in belonging.where.get(column, ())]
    if condition == index_predicate.NOT_NULL:
        return bool(values) and None not in values
    if len(values) != 1:
        return False
    [value] = values
    if condition == index_predicate.NULL or value is None:
        return condition == index_predicate.NULL and value is None
    return condition == f"={str(value).lower() if isinstance(value, bool) else value}"


def _targets(belonging: Belonging, data_map: DataMap, catalogue: Catalogue) -> list[Column | None]:
    """Find the columns whose values the role's columns hold; None for one that is not there."""
    way, subject = belonging.way, data_map.subject
    if isinstance(way, ByParent):
        return [_column(catalogue.relations.get(way.table), name) for name in way.to]
    if isinstance(way, ByMention):
        return []
    side_tables = {known.name: known for known in subject.known_by}
    return [
        _column(catalogue.relations.get(side_tables[name].table), side_tables[name].column)
        if name in side_tables
        else _column(catalogue.relations.get(subject.table), name)
        for name in holds_of(way)
    ]


def _column(relation: Relation | None, name: str) -> Column | None:
    return relation.columns.get(name) if relation else None


def _whole_key(
    where: str, way: ByParent, relation: Relation, parent: Relation, catalogue: Catalogue
) -> Iterator[Finding]:
    """Refuse rows that are found by a part of their parent's key: another's row may have the same part."""
    if parent.identified_by(way.to):
        return
    found = dict(zip(way.columns, way.to, strict=True))
    for reference in catalogue.references:
        pairs = dict(zip(reference.columns, reference.target_columns, strict=True))
        if (reference.table, reference.target) == (
            relation.name,
            parent.name,
        ) and found.items() < pairs.items():
            yield _part(where, pairs, parent)
            return
    # Without a foreign key, columns of the same name say that they belong together; a time of creation
    # is in the key of a partitioned table only because it must be.
    rest = [
        name
        for name in parent.key
        if name not in way.to
        and name in relation.columns
        and name not in way.columns
        and not parent.columns[name].type.startswith(("timestamp", "date"))
    ]
    if rest and set(way.to) < set(parent.key):
        yield _part(where, {**found, **{name: name for name in rest}}, parent)


def _part(where: str, pairs: dict[str, str], parent: Relation) -> Finding:
    return Finding(
        where,
        "key-in-part",
        f"is found by a part of the key of {parent.name}, which rows of others can share: write column: "
        f"[{', '.join(pairs)}], to: [{', '.join(pairs.values())}]",
    )
