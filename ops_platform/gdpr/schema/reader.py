"""What a database holds, from its catalogue alone: relations, columns, keys, references, triggers.

All but the system's own schemas and the platform's. One snapshot; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.schema import queries as catalogue_sql
from ops_platform.gdpr.schema.relation_name import Name

OURS = "ops_platform"
Kind = Literal["table", "partitioned", "partition", "child", "foreign", "view", "matview"]


@dataclass(frozen=True)
class Column:
    """``type`` as format_type writes it. ``base``: the element's type of an array, a domain's base type."""

    name: str
    type: str
    base: str
    array: bool
    not_null: bool
    generated: bool
    identity: bool
    has_default: bool


@dataclass(frozen=True)
class Reference:
    """A foreign key of ``table`` on ``target``; ``columns[i]`` refers to ``target_columns[i]``."""

    name: str
    table: Name
    columns: tuple[str, ...]
    target: Name
    target_columns: tuple[str, ...]
    on_delete: Literal["no action", "restrict", "cascade", "set null", "set default"]
    deferrable: bool


@dataclass(frozen=True)
class Trigger:
    """``writes``: its function holds commands that put rows elsewhere, or cannot be read."""

    name: str
    function: str
    writes: bool


@dataclass(frozen=True)
class Relation:
    name: Name
    kind: Kind
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    """The primary key, else a unique index without NULLs; empty: rows cannot be told apart."""
    leading: frozenset[tuple[str, ...]]
    """The columns of each complete btree or hash index, in order; of others the first one only."""
    indexed: frozenset[str]
    """Columns that some index of whatever kind begins with."""
    triggers: tuple[Trigger, ...] = ()
    row_security: bool = False
    """Whether who asks sees some rows only."""
    parent: Name | None = None
    """Of a partition or an inherited child."""
    refreshable: bool = False
    """Of a materialised view: whether who asks may refresh it."""
    unique: frozenset[tuple[str, ...]] = frozenset()
    """Columns of which no two rows have the same values; NULLs aside."""


@dataclass(frozen=True)
class Catalogue:
    relations: Mapping[Name, Relation]
    references: tuple[Reference, ...]
    """Of partitioned tables and not of each of their partitions."""
    functions: Mapping[Name, bool] = field(default_factory=dict)
    """Those that need no argument, and whether who asks may call them."""

    def referring(self, target: Name) -> list[Reference]:
        return [one for one in self.references if one.target == target]


def read(connection: Connection) -> Catalogue:
    """Raises what psycopg raises; the caller's session decides what is seen."""
    columns: dict[Name, dict[str, Column]] = {}
    for row in connection.execute(catalogue_sql.COLUMNS, {"ours": OURS}):
        columns.setdefault(_name(row), {})[row["column"]] = Column(
            row["column"],
            row["type"],
            row["base"],
            row["array"],
            row["not_null"],
            row["generated"],
            row["identity"],
            row["has_default"],
        )
    keys: dict[Name, tuple[str, ...]] = {}
    leading: dict[Name, set[tuple[str, ...]]] = {}
    indexed: dict[Name, set[str]] = {}
    unique: dict[Name, set[tuple[str, ...]]] = {}
    for row in connection.execute(catalogue_sql.INDEXES, {"ours": OURS}):
        name, named = _name(row), tuple(row["columns"])
        if row["identifies"] and name not in keys:
            keys[name] = named
        if row["distinct_"]:
            unique.setdefault(name, set()).add(named)
        if row["complete"] and row["ordered"]:
            leading.setdefault(name, set()).add(named)
        if row["complete"] and named:
            indexed.setdefault(name, set()).add(named[0])
    triggers: dict[Name, list[Trigger]] = {}
    for row in connection.execute(catalogue_sql.TRIGGERS, {"ours": OURS}):
        triggers.setdefault(_name(row), []).append(Trigger(row["name"], row["function"], row["writes"]))
    relations = {}
    for row in connection.execute(catalogue_sql.RELATIONS, {"ours": OURS}):
        name = _name(row)
        parent = Name(row["parent_schema"], row["parent"]) if row["parent"] else None
        relations[name] = Relation(
            name,
            row["kind"],
            columns.get(name, {}),
            keys.get(name, ()),
            frozenset(leading.get(name, ())),
            frozenset(indexed.get(name, ())),
            tuple(triggers.get(name, ())),
            row["row_security"],
            parent,
            row["refreshable"],
            frozenset(unique.get(name, ())),
        )
    references = tuple(
        Reference(
            row["name"],
            _name(row),
            tuple(row["columns"]),
            Name(row["target_schema"], row["target"]),
            tuple(row["target_columns"]),
            row["on_delete"],
            row["deferrable"],
        )
        for row in connection.execute(catalogue_sql.REFERENCES, {"ours": OURS})
    )
    functions = {
        _name(row): bool(row["callable"])
        for row in connection.execute(catalogue_sql.FUNCTIONS, {"ours": OURS})
    }
    return Catalogue(relations, references, functions)


def _name(row: Mapping[str, Any]) -> Name:
    return Name(row["schema"], row["relation"])
