"""Can the map be carried out on this database, wholly, and without touching what it does not name?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import (
    PSEUDONYM,
    STAND_IN,
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByParent,
    DataMap,
    Delete,
    Keep,
    Literally,
    Table,
    Value,
    View,
)
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.row_erasure import plan
from ops_platform.gdpr.schema import Catalogue, Column, Name, Reference, Relation

_ALIKE = {
    **dict.fromkeys(("text", "character varying", "character", "citext", "name"), "text"),
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric"), "number"),
}


def check(data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """Assumes names that exist, as ``coverage`` makes sure; what does not exist is passed over here."""
    found = [
        *_subject(data_map, catalogue),
        *_order(data_map, catalogue),
        *_references(data_map, catalogue),
        *_stand_in(data_map, catalogue),
    ]
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        if relation is None:
            continue
        found += _relation(table, relation, catalogue)
        for one in table.belongings:
            found += _belonging(table, one, relation, data_map, catalogue)
    for view in data_map.views.values():
        found += _view(view, catalogue)
    return sorted(set(found))


def deleting(data_map: DataMap) -> set[Name]:
    """The tables that erasure may delete rows of."""
    return {table.name for table, one in data_map.belongings() if isinstance(one.erasure, Delete)}


def _subject(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    subject = data_map.subject
    relation = catalogue.relations.get(subject.table)
    if subject.table not in data_map.tables or relation is None:
        yield Finding(str(subject.table), "no-subject", "is the subject's table, and not among the tables")
        return
    for column in sorted(set(subject.identifiers) - set(relation.columns)):
        yield Finding(
            f"{subject.table}.{column}", "no-such-column", "identifies the subject, and is not there"
        )
    if (subject.key,) != relation.key and (subject.key,) not in relation.unique:
        yield Finding(
            f"{subject.table}.{subject.key}",
            "no-key",
            "is the subject's key: it needs a unique index of its own",
        )


def _order(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    try:
        plan.plan(data_map, catalogue)
    except CheckFailed as error:
        yield Finding(str(data_map.subject.table), "circle", str(error))


def _references(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """Who refers to rows that go must be in the map by that very reference, or a delete fails or spreads."""
    gone = {
        table.name
        for table, one in data_map.belongings()
        if isinstance(one.erasure, Delete) and one.erasure.otherwise is None
    }
    for reference in catalogue.references:
        table = data_map.tables.get(reference.table)
        where = f"{reference.table}.{'+'.join(reference.columns)}"
        if reference.target not in gone | deleting(data_map) | {data_map.subject.table}:
            continue
        if not _indexed(reference, catalogue):
            yield Finding(
                where,
                "no-index",
                f"refers to {reference.target} without an index that begins with it: "
                "each delete there would read this whole table",
            )
        covering = [] if table is None else [one for one in table.belongings if _covers(one, reference)]
        if reference.target == data_map.subject.table and not covering:
            yield Finding(
                where,
                "unlinked-reference",
                f"refers to {reference.target}, the subject: say so in rows, as a role",
            )
        elif reference.target in gone and not any(_lets_go(one, reference) for one in covering):
            yield Finding(
                where,
                "reference-left",
                f"refers to rows of {reference.target} that go ({reference.on_delete}): rows of this table "
                "must be deleted too, or have the column set, or those be deleted only unless referenced",
            )


def _covers(one: Belonging, reference: Reference) -> bool:
    way = one.way
    if isinstance(way, ByColumn):
        return (way.column, way.holds) in zip(reference.columns, reference.target_columns, strict=True)
    if isinstance(way, ByParent):
        pairs = zip(reference.columns, reference.target_columns, strict=True)
        return way.table == reference.target and (way.column, way.to) in pairs
    return False


def _lets_go(one: Belonging, reference: Reference) -> bool:
    if isinstance(one.erasure, Delete):
        return one.erasure.otherwise is None or bool(set(one.erasure.otherwise) & set(reference.columns))
    return isinstance(one.erasure, Anonymise) and bool(set(one.erasure.columns) & set(reference.columns))


def _indexed(reference: Reference, catalogue: Catalogue) -> bool:
    relation = catalogue.relations.get(reference.table)
    width = len(reference.columns)
    return relation is not None and any(
        set(index[:width]) == set(reference.columns) for index in relation.leading if len(index) >= width
    )


def _relation(table: Table, relation: Relation, catalogue: Catalogue) -> Iterator[Finding]:
    changing = [one for one in table.belongings if not isinstance(one.erasure, Keep)]
    if changing and not relation.key:
        yield Finding(
            str(table.name),
            "no-key",
            "has no primary key and no unique index without NULLs: its rows cannot be told apart",
        )
    if table.belongings and relation.row_security:
        yield Finding(
            str(table.name),
            "row-security",
            "shows this role some rows only: give the role BYPASSRLS, or own the table",
        )
    if table.created is not None:
        created = relation.columns.get(table.created)
        if created is None:
            yield Finding(str(table.name), "no-such-column", f"has no column {table.created}: see created")
        elif not created.type.startswith("timestamp"):
            said = f"is {created.type}, and what says when a row came into being must be a timestamp"
            yield Finding(f"{table.name}.{table.created}", "other-type", said)
    deleted = [one.role for one in table.belongings if isinstance(one.erasure, Delete)]
    for one in table.belongings:
        if deleted and isinstance(one.erasure, Keep) and isinstance(one.way, ByParent):
            yield Finding(
                f"{table.name} ({one.role})",
                "kept-and-deleted",
                f"is kept by law, but when the rows of {one.way.table} are gone nothing says so, and role "
                f"{deleted[0]} would delete it: keep it in that role too",
            )
    partitions = [one for one in catalogue.relations.values() if one.parent == table.name]
    for each in (relation, *partitions):
        for trigger in each.triggers:
            if trigger.writes and trigger.name not in table.triggers and changing:
                yield Finding(
                    f"{each.name}.{trigger.name}",
                    "trigger",
                    f"may copy rows elsewhere ({trigger.function}): look, and say why that is well",
                )


def _view(view: View, catalogue: Catalogue) -> Iterator[Finding]:
    """A materialised view keeps what is personal until it is refreshed: somebody must be able to."""
    relation = catalogue.relations.get(view.name)
    if relation is None or relation.kind != "matview":
        return
    if view.refresh is not None:
        if view.refresh not in catalogue.functions:
            said = f"has no function {view.refresh}() to refresh it"
            yield Finding(str(view.name), "no-such-function", said)
    elif view.personal and not relation.refreshable:
        yield Finding(
            str(view.name),
            "no-refresh",
            "keeps personal data until it is refreshed, which this role may not do: "
            "name a function that does in refresh, or grant MAINTAIN",
        )


def _belonging(
    table: Table, one: Belonging, relation: Relation, data_map: DataMap, catalogue: Catalogue
) -> Iterator[Finding]:
    where, way = f"{table.name} ({one.role})", one.way
    column = relation.columns.get(way.column)
    if column is None:
        return
    if way.column not in relation.indexed:
        yield Finding(where, "no-index", f"is found by {way.column}, which has no index")
    wanted = _held(one, data_map, catalogue)
    if wanted is not None and isinstance(way, ByColumn | ByParent | ByArray):
        alike = _type(column) == _type(wanted) and column.array == isinstance(way, ByArray)
        if not alike:
            said = f"{way.column} is {column.type}, and what it should hold is {wanted.type}"
            yield Finding(where, "other-type", said)
    if isinstance(way, ByParent):
        parent = catalogue.relations.get(way.table)
        if parent is not None and way.to not in parent.columns:
            yield Finding(where, "no-such-column", f"{way.table} has no column {way.to}")
    if isinstance(one.export, tuple):
        for name in sorted(set(one.export) - set(relation.columns)):
            yield Finding(where, "no-such-column", f"exports {name}, which is not there")
    values: Mapping[str, Value] = {}
    if isinstance(one.erasure, Anonymise):
        values = one.erasure.columns
    elif isinstance(one.erasure, Delete) and one.erasure.otherwise is not None:
        values = one.erasure.otherwise
    yield from _values(where, values, relation, catalogue, data_map)
    if values and isinstance(way, ByColumn) and way.column not in values:
        yield Finding(
            where, "still-linked", f"is anonymised and still names the subject: set {way.column} too"
        )


def _held(one: Belonging, data_map: DataMap, catalogue: Catalogue) -> Column | None:
    if isinstance(one.way, ByParent):
        relation, name = catalogue.relations.get(one.way.table), one.way.to
    else:
        relation, name = catalogue.relations.get(data_map.subject.table), one.way.holds
    return relation.columns.get(name) if relation else None


def _type(column: Column) -> str:
    return _ALIKE.get(column.base, column.base)


def _values(
    where: str, values: Mapping[str, Value], relation: Relation, catalogue: Catalogue, data_map: DataMap
) -> Iterator[Finding]:
    subject = catalogue.relations.get(data_map.subject.table)
    key = subject.columns.get(data_map.subject.key) if subject else None
    for name, value in values.items():
        column = relation.columns.get(name)
        if column is None:
            yield Finding(where, "no-such-column", f"sets {name}, which is not there")
        elif column.generated:
            yield Finding(where, "generated", f"sets {name}, which is generated: set what it is made from")
        elif isinstance(value, Literally) and value.value is None and column.not_null:
            yield Finding(where, "not-null", f"sets {name} to NULL, which it cannot be")
        elif value == PSEUDONYM and _type(column) not in ("text", "uuid"):
            yield Finding(where, "other-type", f"sets {name} to a pseudonym, and it is {column.type}")
        elif value == STAND_IN and key is not None and _type(column) != _type(key):
            yield Finding(where, "other-type", f"sets {name} to the stand-in's key, and it is {column.type}")


def _stand_in(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """Where the map uses one, a row of the subject table must be makeable from what it says."""
    values = [
        value
        for _, one in data_map.belongings()
        for value in (
            one.erasure.columns.values()
            if isinstance(one.erasure, Anonymise)
            else (one.erasure.otherwise or {}).values()
            if isinstance(one.erasure, Delete)
            else ()
        )
    ]
    subject = data_map.subject
    relation = catalogue.relations.get(subject.table)
    if STAND_IN not in values or relation is None:
        return
    where = f"{subject.table} (stand-in)"
    yield from _values(where, subject.stand_in, relation, catalogue, data_map)
    for name, column in relation.columns.items():
        given = column.has_default or column.generated or column.identity or name in subject.stand_in
        if column.not_null and not given:
            yield Finding(where, "not-null", f"must say what {name} is: it cannot be NULL and has no default")
