"""The check that somebody has decided what the names and types of columns leave open.

A map can classify every column and still miss a person: ``payer_id`` as a plain number is nobody's. What
looks like a link, an address or a credential, or can be classified only as a whole, needs a rule or a reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.gdpr.data_map import (
    UNDECIDED,
    Anonymise,
    Belonging,
    ByMention,
    DataMap,
    Delete,
    Keep,
    Table,
)
from ops_platform.gdpr.map_check import row_links, type_pairs
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Column, Relation


def check(data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """List the columns and roles that nobody has decided, each with what to write; also in empty tables."""
    return sorted(
        {
            finding
            for table in data_map.tables.values()
            for finding in (*_left_by_a_draft(table), *_table(table, data_map, catalogue))
        }
        | {*_identifiers(data_map)}
    )


def _identifiers(data_map: DataMap) -> Iterator[Finding]:
    for known in data_map.subject.known_by:
        if known.undecided:
            yield Finding(
                known.name,
                "undecided",
                f"is a guess in known_by ({known.undecided}): remove it where it may be somebody else's, or "
                "remove undecided from it",
            )


def _left_by_a_draft(table: Table) -> Iterator[Finding]:
    for column, found in table.undecided.items():
        yield Finding(
            f"{table.name}.{column}",
            "undecided",
            f"nobody has decided on it ({found}): give it a role in rows, or an entry in refers or reasons, "
            "and remove it from undecided",
        )
    for column, reason in table.reasons.items():
        if reason.lstrip().startswith(UNDECIDED):
            yield Finding(f"{table.name}.{column}", "undecided", "its reason is not written yet: see reasons")
    for belonging in table.belongings:
        if belonging.undecided:
            yield Finding(
                f"{table.name} ({belonging.role})",
                "undecided",
                f"is a guess ({belonging.undecided}): correct what is wrong, and remove undecided from it",
            )


def _table(table: Table, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    relation = catalogue.relations.get(table.name)
    if relation is None:
        return
    accepted = {place.column for place in data_map.accepted if place.table == table.name}
    decided = table.linking | set(table.reasons) | set(table.undecided) | accepted
    for column in relation.columns.values():
        if column.name in decided or column.name not in table.classified:
            continue
        where, shown = f"{table.name}.{column.name}", f"({column.type})"
        if _is_open_link(column, table, relation, data_map, catalogue):
            yield Finding(
                where,
                "undecided-link",
                f"{shown} looks like the key of somebody or something, and nothing says whose: write a role "
                f"in rows, or 'refers: {{{column.name}: table.column}}' if it is the key of something else, "
                f"or 'reasons: {{{column.name}: why it is nobody's}}'",
            )
        elif (kind := _kind(column)) and not _is_removed(column, table):
            yield Finding(
                where,
                "undecided-column",
                f"{shown} {kind}, and no role of the table removes it: make it personal and let a role "
                f"delete the row or set the column, or write 'reasons: {{{column.name}: why it may stay}}'",
            )


def _is_open_link(
    column: Column, table: Table, relation: Relation, data_map: DataMap, catalogue: Catalogue
) -> bool:
    """Tell whether a column looks like a link that neither the map nor a foreign key explains."""
    stem = column_names.stem(column, catalogue.relations)
    if stem is None and column.name in table.plain and column_names.is_person(column):
        # A text may be somebody's name, which goes with the row; in a plain one, nobody looks for anybody.
        stem = column.name
    if stem is None or column.name in table.refers or column_names.is_own_key(column, relation, stem):
        return False
    if any(
        reference.table == table.name and column.name in reference.columns
        for reference in catalogue.references
    ):
        return False
    if table.name == data_map.subject.table and column.name in data_map.subject.columns:
        return False
    if type_pairs.type_of(relation, column.name) is not None:
        return True
    # Of another type, it cannot hold what names the subject, and goes with the row.
    subject = data_map.subject
    named = row_links.may_name(column, stem, catalogue.relations.get(subject.table), subject.key)
    return named or not _is_removed(column, table)


def _kind(column: Column) -> str | None:
    if column.generated:
        return None
    if column_names.is_credential(column):
        return "looks like a credential"
    if column_names.is_address(column):
        return "looks like an address"
    if column_names.is_opaque(column):
        return "holds several values in one, of which none is classified by itself"
    return None


def _is_removed(column: Column, table: Table) -> bool:
    """Tell whether the column is personal, and one of the roles removes it, or the law keeps it."""
    if column.name not in table.personal:
        return column.name in table.documents
    # Without any role, the table is a finding of its own.
    return not table.everyones or any(_removes(belonging, column.name) for belonging in table.everyones)


def _removes(belonging: Belonging, column: str) -> bool:
    way, erasure = belonging.way, belonging.erasure
    if isinstance(way, ByMention):
        return column in way.columns
    if isinstance(erasure, Delete):
        return erasure.otherwise is None or column in erasure.otherwise
    return isinstance(erasure, Keep) or (isinstance(erasure, Anonymise) and column in erasure.columns)
