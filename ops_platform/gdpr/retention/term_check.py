"""The check that the map's terms of retention can be carried out in a database. Pure.

Apart from the check of the map for erasures: a term that does not fit keeps nobody's erasure waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ops_platform.gdpr.data_map import DataMap, RetentionTerm, Table
from ops_platform.gdpr.map_check import Finding
from ops_platform.gdpr.retention import role_reference
from ops_platform.gdpr.retention.role_reference import RoleReference
from ops_platform.gdpr.schema import Catalogue, Column, Name, Reference, Relation

_DECLARED = "refers of "
_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")


def check(data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """List what keeps the terms from being carried out; pass over tables that are not there."""
    catalogue = with_declared(data_map, catalogue)
    return sorted(
        {
            finding
            for table in data_map.tables.values()
            if table.term is not None and table.name in catalogue.relations
            for finding in (
                *_table(table, table.term, catalogue.relations[table.name], catalogue),
                *_unanswerable(table, table.term, data_map),
            )
        }
    )


def with_declared(data_map: DataMap, catalogue: Catalogue) -> Catalogue:
    """Add the references that the map declares, in ``refers`` and roles, to the catalogue's foreign keys."""
    declared = [
        Reference(f"{_DECLARED}{column}", table.name, (column,), target, (to,), "no action", False)
        for table in data_map.tables.values()
        for column, (target, to) in table.refers.items()
        if column in _columns(table.name, catalogue) and to in _columns(target, catalogue)
    ]
    roles = role_reference.references(data_map, catalogue)
    return replace(catalogue, references=(*catalogue.references, *declared, *roles))


def _columns(name: Name, catalogue: Catalogue) -> Mapping[str, Column]:
    relation = catalogue.relations.get(name)
    return relation.columns if relation is not None else {}


def _table(table: Table, term: RetentionTerm, relation: Relation, catalogue: Catalogue) -> Iterator[Finding]:
    where = f"{table.name}.{term.of}"
    column = relation.columns.get(term.of)
    if relation.kind not in ("table", "partitioned"):
        yield Finding(str(table.name), "no-term", f"is a {relation.kind}: a term goes with a table")
    if column is None:
        yield Finding(where, "no-such-column", "is what the retention is counted from, and is not there")
    elif column.base not in _TIMES or column.array:
        yield Finding(
            where, "other-type", f"is {column.type}, but a term of retention is counted from a time or a day"
        )
    elif column.base != _TIMES[0] and term.zone is None:
        yield Finding(
            where,
            "no-zone",
            f"is {column.type}, which says no time zone: add zone to the retention, as in zone: UTC",
        )
    if relation.row_security:
        yield Finding(
            str(table.name),
            "row-security",
            "shows this role only some rows: give the role BYPASSRLS, or own the table",
        )
    partitions = [child for child in catalogue.relations.values() if child.parent == table.name]
    for storing in (relation, *partitions):
        for trigger in storing.triggers:
            if trigger.writes and trigger.name not in table.triggers:
                yield Finding(
                    f"{storing.name}.{trigger.name}",
                    "trigger",
                    f"may copy rows elsewhere ({trigger.function}): "
                    "look, and say in triggers why that leaves nothing behind",
                )
    if term.values is None:
        yield from _references(table, catalogue)
        return
    for name, value in term.values.items():
        changed = relation.columns.get(name)
        if changed is None:
            yield Finding(f"{table.name}.{name}", "no-such-column", "is set after its term, but is not there")
        elif changed.generated:
            yield Finding(f"{table.name}.{name}", "generated", "is generated: set what it is made from")
        elif value is None and changed.not_null:
            yield Finding(f"{table.name}.{name}", "not-null", "is set to NULL, which it cannot be")


def _unanswerable(table: Table, term: RetentionTerm, data_map: DataMap) -> Iterator[Finding]:
    """Refuse a term that takes away names by which rows are found, where nobody can ask for these rows."""
    for other, belonging in role_reference.unanswerable(data_map, table.name):
        if term.values is None or set(term.values) & role_reference.names(data_map, table.name):
            yield Finding(
                f"{other.name} ({belonging.role})",
                "no-term",
                f"is found by what {table.name} holds, in an array, a document or a text: nobody can ask "
                f"whether a row of {table.name} is needed, and without it this is found no more: leave the "
                "term out there",
            )


def _references(table: Table, catalogue: Catalogue) -> Iterator[Finding]:
    """Require indexes on what refers here: each row is asked whether another refers to it."""
    for reference in catalogue.referring(table.name):
        if isinstance(reference, RoleReference):
            # The check of the map requires an index and types that fit of every role.
            continue
        if reference.name.startswith(_DECLARED):
            [column], [target] = reference.columns, reference.target_columns
            type_ = _columns(reference.table, catalogue)[column].base
            other = _columns(table.name, catalogue)[target].base
            if type_ != other:
                yield Finding(
                    f"{reference.table}.{column}",
                    "other-type",
                    f"is {type_}, and refers to {table.name}.{target}, which is {other}: nobody can ask "
                    "whether a row whose term is over is referred to: leave the term out",
                )
        relation, width = catalogue.relations.get(reference.table), len(reference.columns)
        if relation is not None and not any(
            set(index[:width]) == set(reference.columns) for index in relation.leading if len(index) >= width
        ):
            yield Finding(
                f"{reference.table}.{'+'.join(reference.columns)}",
                "no-index",
                f"refers to {table.name} without an index that begins with it: "
                "each row whose term is over would read this whole table",
            )
