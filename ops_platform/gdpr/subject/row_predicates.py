"""The rows that belong to a subject, as SQL conditions that indexes can answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import (
    EVERY,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByMention,
    ByParent,
    DataMap,
    JsonPath,
    Subject,
    Way,
    holds_of,
    json_edit_sql,
)
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.spellings import Sought
from ops_platform.gdpr.subject import constant_sql, others_addresses, subject_key
from ops_platform.gdpr.subject.identity import Identity, joint_name


def identity(connection: Connection, data_map: DataMap, catalogue: Catalogue, key: str) -> Identity | None:
    """Read the identity of the subject with this key, given as text.

    None when there is no such row, in a restored database not even the table, or when the key's type cannot
    hold the text. Raises ConfigurationError for a text that is no key of several columns, and what psycopg
    raises.
    """
    subject = data_map.subject
    if subject.table not in catalogue.relations:
        return None
    columns = catalogue.relations[subject.table].columns
    query = sql.SQL("SELECT {columns} FROM {table} WHERE {key}").format(
        columns=sql.SQL(", ").join(sql.Identifier(name) for name in subject.columns),
        table=subject.table.identifier,
        key=sql.SQL(" AND ").join(
            sql.SQL("{} = CAST(%s AS {})").format(sql.Identifier(name), sql.SQL(columns[name].type))
            for name in subject.key
        ),
    )
    parts = subject_key.texts(subject, key)
    try:
        with connection.transaction():
            row = connection.execute(query, parts).fetchone()
    except psycopg.DataError:
        return None
    if row is None:
        return None
    values = {name: value for name, value in row.items() if value is not None}
    return with_side_tables(connection, data_map, catalogue, values)


def with_side_tables(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, values: Mapping[str, Any]
) -> Identity:
    """Read what the side tables know the subject by, who has these ``values`` of the subject's row."""
    known_by = {}
    base = Identity(values)
    for known in data_map.subject.known_by:
        if known.table not in catalogue.relations:
            continue
        held = sql.Identifier("k", known.column)
        query = sql.SQL(
            "SELECT DISTINCT {held} AS value FROM {table} AS k WHERE {theirs} AND {held} IS NOT NULL"
        )
        found = connection.execute(
            query.format(
                held=held,
                table=known.table.identifier,
                theirs=_in_roles(data_map, catalogue, known.table, known.roles, base, "k", None),
            )
        ).fetchall()
        if found:
            known_by[known.name] = tuple(sorted((row["value"] for row in found), key=str))
    return Identity(values, known_by)


@dataclass(frozen=True)
class SparedRows:
    """Rows that an erasure spares: newer than ``cutoff``, they are somebody else's, where that can be told.

    ``key_reused``: the row with the subject's key is itself newer, so that the key proves nothing either.
    ``reused_names``: the identifiers that somebody else has now; None after a restore, when any may be.
    ``reused_values``: their values, texts in lower case; ``reused_together``: what somebody else has now of
    what names the subject only together (see ``joint_name``).
    ``erased_once``: the subject's rows by these names have been erased since; rows that hold such a name
    now are somebody else's. ``namesakes``: what another subject has as well, told only where the subjects'
    table is in another database.
    """

    cutoff: datetime
    key_reused: bool
    reused_names: frozenset[str] | None = None
    reused_values: frozenset[Any] = frozenset()
    reused_together: frozenset[str] = frozenset()
    erased_once: bool = False
    namesakes: frozenset[str] = frozenset()

    @property
    def after_restore(self) -> bool:
        """Tell whether an erasure is repeated after a restore."""
        return self.reused_names is None


def condition(
    data_map: DataMap,
    catalogue: Catalogue,
    table: Name,
    belonging: Belonging,
    identity: Identity,
    alias: str,
    spared: SparedRows | None = None,
) -> sql.Composable:
    """Write the condition for rows of ``table``, called ``alias``, that are the subject's in this role.

    ``spared``: rows to leave out; see ``name_reuse``.
    """
    held = _held(data_map, catalogue, table, belonging.way, identity, alias, spared)
    if not belonging.where:
        return held
    columns = catalogue.relations[table].columns
    tests = [constant_sql.is_any_of(columns[name], values, alias) for name, values in belonging.where.items()]
    return sql.SQL("({})").format(sql.SQL(" AND ").join([held, *tests]))


def _held(
    data_map: DataMap,
    catalogue: Catalogue,
    table: Name,
    way: Way,
    identity: Identity,
    alias: str,
    spared: SparedRows | None,
) -> sql.Composable:
    """Write the condition for the way alone, without the role's ``where``."""
    if isinstance(way, ByParent):
        return _through_parent(data_map, catalogue, way, identity, alias, spared)
    if isinstance(way, ByMention):
        return _mentions(data_map, catalogue, table, way, identity, alias, spared)
    held = _holds_identifier(way, data_map.subject, catalogue, table, identity, alias)
    holds = {*holds_of(way), joint_name(holds_of(way))}
    by_key = set(data_map.subject.key) <= holds
    if spared is None or (by_key and not spared.key_reused):
        return held
    created = data_map.tables[table].created
    if spared.reused_names is not None:
        if not holds & spared.reused_names:
            return held
        # Of several values of an identifier, only some may be somebody else's now.
        lost = len(way.columns) > 1 and joint_name(holds_of(way)) in spared.reused_names
        own = Identity({}) if lost else identity.without(spared.reused_values)
        alone = _holds_identifier(way, data_map.subject, catalogue, table, own, alias)
        if created is None or spared.erased_once:
            return alone
        return sql.SQL("({} OR {})").format(alone, _not_newer(held, created, spared, alias))
    if created is None:
        # Where the key is reused, its new owner has names of their own, too.
        if spared.key_reused:
            return sql.SQL("false")
        lost = joint_name(holds_of(way)) in spared.reused_together
        own = Identity({}) if lost else identity.without(spared.reused_values)
        return _holds_identifier(way, data_map.subject, catalogue, table, own, alias)
    return _not_newer(held, created, spared, alias)


def mentioned(
    data_map: DataMap, catalogue: Catalogue, identity: Identity, spared: SparedRows | None
) -> Sought:
    """Select the identifiers by which rows may be found that only mention the subject."""
    if spared is not None:
        identity = identity.without(spared.reused_values)
    sought = Sought.of(identity.names(data_map.subject))
    return replace(sought, others=others_addresses.of_mailbox(data_map, catalogue, identity))


def _mentions(
    data_map: DataMap,
    catalogue: Catalogue,
    table: Name,
    way: ByMention,
    identity: Identity,
    alias: str,
    spared: SparedRows | None,
) -> sql.Composable:
    """Write the condition for mentions. A name that somebody else has now may mean either: it is left."""
    sought = mentioned(data_map, catalogue, identity, spared)
    columns = catalogue.relations[table].columns
    tests = [sought.mention(columns[name], sql.Identifier(alias, name)) for name in way.columns]
    held = sql.SQL("({})").format(sql.SQL(" OR ").join(tests))
    created = data_map.tables[table].created
    if spared is None or spared.reused_names is not None:
        return held
    if created is None:
        return sql.SQL("false") if spared.key_reused else held
    return _not_newer(held, created, spared, alias)


def _not_newer(held: sql.Composable, created: str, spared: SparedRows, alias: str) -> sql.Composable:
    """Restrict ``held`` to old rows. A row whose time of creation is NULL counts as old."""
    return sql.SQL("({held} AND ({created} > {cutoff}) IS NOT TRUE)").format(
        held=held, created=sql.Identifier(alias, created), cutoff=sql.Literal(spared.cutoff)
    )


def _holds_identifier(
    way: ByColumn | ByArray | ByJson,
    subject: Subject,
    catalogue: Catalogue,
    table: Name,
    identity: Identity,
    alias: str,
) -> sql.Composable:
    if isinstance(way, ByColumn):
        return _holds_all(way, subject, identity, alias)
    column, values = sql.Identifier(alias, way.column), identity.of(way.holds)
    if not values:
        # No row can hold an identifier that the subject does not have.
        return sql.SQL("false")
    column_type = catalogue.relations[table].columns[way.column].type
    if isinstance(way, ByArray):
        return sql.SQL("{} {} CAST({} AS {})").format(
            column,
            sql.SQL("@>" if len(values) == 1 else "&&"),
            sql.Literal(list(values)),
            sql.SQL(column_type),
        )
    return _holds_in_json(way, values, column, column_type)


def _holds_all(way: ByColumn, subject: Subject, identity: Identity, alias: str) -> sql.Composable:
    """Write the condition that each column holds its identifier."""
    pairs = list(zip(way.columns, way.holds, strict=True))
    if set(subject.key) <= set(way.holds):
        # What stands beside the whole key is known only as long as the subject has a row.
        pairs = [(column, held) for column, held in pairs if held in subject.key or identity.of(held)]
    tests = []
    for column, held in pairs:
        values, reference = identity.of(held), sql.Identifier(alias, column)
        if not values:
            return sql.SQL("false")
        literals = sql.SQL(", ").join(sql.Literal(value) for value in values)
        tests.append(sql.SQL("{} = {}" if len(values) == 1 else "{} IN ({})").format(reference, literals))
    return tests[0] if len(tests) == 1 else sql.SQL("({})").format(sql.SQL(" AND ").join(tests))


def _through_parent(
    data_map: DataMap,
    catalogue: Catalogue,
    way: ByParent,
    identity: Identity,
    alias: str,
    spared: SparedRows | None,
) -> sql.Composable:
    inner = f"{alias}_"
    columns = sql.SQL(", ").join(sql.Identifier(alias, column) for column in way.columns)
    several = len(way.columns) > 1
    return sql.SQL("{columns} IN (SELECT {to} FROM {table} AS {inner} WHERE {roles})").format(
        columns=sql.SQL("({})").format(columns) if several else columns,
        to=sql.SQL(", ").join(sql.Identifier(inner, column) for column in way.to),
        table=way.table.identifier,
        inner=sql.Identifier(inner),
        roles=_in_roles(data_map, catalogue, way.table, way.roles, identity, inner, spared),
    )


def _in_roles(
    data_map: DataMap,
    catalogue: Catalogue,
    table: Name,
    roles: Collection[str],
    identity: Identity,
    alias: str,
    spared: SparedRows | None,
) -> sql.Composable:
    """Write the condition for rows that are the subject's in one of ``roles``; empty: in any role.

    A row that only mentions the subject is somebody else's, and so is what belongs to it.
    """
    tests = [
        condition(data_map, catalogue, table, belonging, identity, alias, spared)
        for belonging in data_map.tables[table].belongings
        if not isinstance(belonging.way, ByMention) and (not roles or belonging.role in roles)
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else sql.SQL("false")


def _holds_in_json(
    way: ByJson, values: Sequence[Any], column: sql.Composable, column_type: str
) -> sql.Composable:
    """Test by containment, which a GIN index on the document answers."""
    document = column if column_type == "jsonb" else sql.SQL("{}::jsonb").format(column)
    patterns = [
        _document_with(way.path, spelling) for value in values for spelling in json_edit_sql.spellings(value)
    ]
    # To PostgreSQL an array contains each scalar among its elements: without a path only equality is exact.
    test = sql.SQL("{} @> {}" if way.path.steps else "{} = {}")
    tests = [test.format(document, sql.Literal(Jsonb(pattern))) for pattern in patterns]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _document_with(path: JsonPath, value: Any) -> Any:
    """Build the smallest document that holds ``value`` at ``path``."""
    for step in reversed(path.steps):
        value = [value] if step == EVERY else {step: value}
    return value
