"""Proposals of rules that would cover what an erasure would leave: by foreign key, by what a column holds.

A proposal is tried on the rows before it is made. What becomes of the rows is for people to decide: it says
``delete`` where a row belongs to the subject, and ``null`` where the map keeps the row and sets columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml
from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import (
    REDACTED,
    UNDECIDED,
    Accepted,
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByMention,
    ByParent,
    DataMap,
    Delete,
    Redact,
    Table,
)
from ops_platform.gdpr.row_erasure import redaction, residue_scan
from ops_platform.gdpr.row_erasure.foresight.after_image import AfterImage
from ops_platform.gdpr.row_erasure.residue_scan import Residue
from ops_platform.gdpr.schema import Column, Relation

_TEXTS = frozenset(("text", "character varying", "character", "citext", "name"))


def propose(connection: Connection, image: AfterImage, hit: Residue) -> str:
    """Propose an entry of the data map that covers ``hit``, in one line. Raises what psycopg raises."""
    relation, table = image.catalogue.relations[hit.table], image.data_map.tables.get(hit.table)
    if table is not None and relation.kind not in ("matview", "foreign"):
        for belonging, text in _candidates(image, table, relation, hit.column):
            if _rows(connection, image, table, relation, belonging, hit.column) >= hit.rows:
                return text
        if redacting := _redaction(connection, image, table, relation, hit.column):
            return redacting
    place = Accepted(hit.table, hit.column, f"{UNDECIDED}, why may it stay")
    accepted = {"place": str(place), **_of(image.data_map), "because": place.because}
    return f"accepted: {_flow([accepted])}"


def _of(data_map: DataMap) -> dict[str, str]:
    """Say which kind of subject an entry is about, where the map has several."""
    return {"of": data_map.subject.kind} if data_map.others else {}


def _redaction(
    connection: Connection, image: AfterImage, table: Table, relation: Relation, column: str
) -> str | None:
    """Propose to redact the column, if that leaves no identifier in it, and it is in no key."""
    references = image.catalogue.references
    keys = {name for columns in (relation.key, *relation.unique) for name in columns}
    keys |= {name for key in references if key.table == relation.name for name in key.columns}
    keys |= {name for key in references if key.target == relation.name for name in key.target_columns}
    roles = [belonging.role for belonging in table.belongings]
    role = "mentioned" if "mentioned" not in roles else f"mentioned in {column}"
    if column in keys or role in roles or not redaction.can_redact(relation.columns[column]):
        return None
    rule = Belonging(role, ByMention((column,)), Redact(REDACTED), "none")
    tables = {**image.data_map.tables, table.name: replace(table, belongings=(*table.belongings, rule))}
    redacted = replace(image, data_map=replace(image.data_map, tables=tables))
    values = [value for identity, _ in image.subjects for value in identity.names(image.data_map.subject)]
    rows = redacted.rows(relation)
    if residue_scan.within(connection, relation, values, sql.SQL("true"), source=rows, only=column):
        return None
    said = {"role": role, "mentions": [column], "erase": "redact", "export": "none"}
    return f"tables.{table.name}.rows: {_flow([said])}"


def _rows(
    connection: Connection,
    image: AfterImage,
    table: Table,
    relation: Relation,
    belonging: Belonging,
    column: str,
) -> int:
    """Count the rows that the belonging would find, of those in which the column names the subject."""
    values = [value for identity, _ in image.subjects for value in identity.names(image.data_map.subject)]
    # The condition is for rows as they are, so it stands inside, where an index can answer it.
    rows = image.rows(relation, only=image.held(table, belonging, "t"))
    hits = residue_scan.within(connection, relation, values, sql.SQL("true"), source=rows, only=column)
    return max((hit.rows for hit in hits), default=0)


def _candidates(
    image: AfterImage, table: Table, relation: Relation, column: str
) -> Iterator[tuple[Belonging, str]]:
    for belonging in table.belongings:
        erasure = belonging.erasure
        if isinstance(erasure, Anonymise) or (isinstance(erasure, Delete) and erasure.otherwise is not None):
            key = "anonymise" if isinstance(erasure, Anonymise) else "delete_unless_referenced"
            yield (
                belonging,
                f"tables.{table.name}.rows, role {belonging.role}: {key}: {_flow({column: None})} as well",
            )
    known = {belonging.way.columns for belonging in table.belongings}
    for way, row in (*_by_value(image, relation, column), *_by_reference(image, relation)):
        if way.columns not in known:
            role = {"role": _role(way.columns[-1]), **_of(image.data_map)}
            said = {**role, **row, "erase": "delete", "export": "own"}
            yield (
                Belonging(said["role"], way, Delete(), "own"),
                f"tables.{table.name}.rows: {_flow([said])}",
            )


def _by_value(
    image: AfterImage, relation: Relation, column: str
) -> Iterator[tuple[ByColumn | ByArray, dict[str, Any]]]:
    """Yield the rules by which the column itself holds an identifier."""
    subject, relations = image.data_map.subject, image.catalogue.relations
    searched = relation.columns[column]
    sources = [(name, subject.table, name) for name in subject.identifiers]
    sources += [(known.name, known.table, known.column) for known in subject.known_by]
    for name, table, held in sources:
        identifier = relations[table].columns.get(held) if table in relations else None
        if identifier is None or not _alike(searched, identifier):
            continue
        holds = {} if (name,) == subject.key else {"holds": name}
        if searched.array:
            yield ByArray(column, name), {"array": column, **holds}
        else:
            yield ByColumn((column,), (name,)), {"column": column, **holds}


def _by_reference(
    image: AfterImage, relation: Relation
) -> Iterator[tuple[ByColumn | ByParent, dict[str, Any]]]:
    """Yield the rules that a foreign key on the subject, or on a table with rules, suggests."""
    subject, tables = image.data_map.subject, image.data_map.tables
    for reference in image.catalogue.references:
        if reference.table != relation.name:
            continue
        columns, to = reference.columns, reference.target_columns
        if reference.target == subject.table and set(to) <= set(subject.columns):
            holds = {} if to == subject.key else {"holds": _one_or_list(to)}
            yield ByColumn(columns, to), {"column": _one_or_list(columns), **holds}
        elif (target := tables.get(reference.target)) is not None and target.belongings:
            row = {"column": _one_or_list(columns), "through": str(reference.target), "to": _one_or_list(to)}
            yield ByParent(columns, reference.target, to, ()), row


def _one_or_list(columns: Sequence[str]) -> str | list[str]:
    return columns[0] if len(columns) == 1 else [*columns]


def _alike(column: Column, other: Column) -> bool:
    return column.base == other.base or (column.base in _TEXTS and other.base in _TEXTS)


def _role(column: str) -> str:
    return column.removesuffix("_id") or column


def _flow(value: Mapping[str, Any] | list[Any]) -> str:
    """Write YAML in one line."""
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    ).strip()
