"""Reader of a database's catalogue: relations, columns, keys, references, triggers.

The system's own schemas and the platform's are left out. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.schema import queries
from ops_platform.gdpr.schema.relation_name import Name

PLATFORM_SCHEMA = "ops_platform"
Kind = Literal["table", "partitioned", "partition", "child", "foreign", "view", "matview"]


@dataclass(frozen=True)
class Column:
    """A column. ``type`` as format_type writes it; ``base``: the type below arrays and domains.

    ``expression``: what a generated one is computed from. ``composite``: its type is a row of columns.
    """

    name: str
    type: str
    base: str
    array: bool
    not_null: bool
    generated: bool
    identity: bool
    has_default: bool
    expression: str = ""
    composite: bool = False


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
    """A trigger or rule. ``writes``: its function may write rows elsewhere, or cannot be read.

    ``vectors``: it computes text search vectors of a row anew with each update.
    """

    name: str
    function: str
    writes: bool
    vectors: bool = False


@dataclass(frozen=True)
class Relation:
    """A table, partition, view or materialised view, as far as an erasure needs to know it."""

    name: Name
    kind: Kind
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    """The columns of the primary key, else of a unique index without NULLs; empty: rows have no key."""
    leading: frozenset[tuple[str, ...]]
    """The columns of each complete btree or hash index, in order. Complete: not partial, and valid."""
    indexed: frozenset[str]
    """The first column of each complete index of any kind."""
    triggers: tuple[Trigger, ...] = ()
    row_security: bool = False
    """Whether row-level security applies to the role that reads the catalogue."""
    parent: Name | None = None
    """The parent of a partition or an inherited child."""
    refreshable: bool = False
    """Whether the role that reads the catalogue may refresh this materialised view."""
    unique: frozenset[tuple[str, ...]] = frozenset()
    """The columns of each valid unique index that covers every row, also of their small letters.

    NULLs may repeat.
    """

    def identified_by(self, columns: Iterable[str]) -> bool:
        """Tell whether no two rows can have the same values in ``columns``."""
        given = set(columns)
        return any(key and set(key) <= given for key in (self.key, *self.unique))


@dataclass(frozen=True)
class Catalogue:
    """Everything that was read of one database."""

    relations: Mapping[Name, Relation]
    references: tuple[Reference, ...]
    """All foreign keys; those of a partitioned table once, not again for each partition."""
    functions: Mapping[Name, bool] = field(default_factory=dict)
    """Functions without arguments, and whether the role that reads the catalogue may call them."""

    def referring(self, target: Name) -> list[Reference]:
        """List the foreign keys on ``target``."""
        return [reference for reference in self.references if reference.target == target]


def read(connection: Connection) -> Catalogue:
    """Read the catalogue, as far as the role of ``connection`` may see it. Raises what psycopg raises.

    Its queries see the same moment only in a REPEATABLE READ transaction.
    """
    columns: dict[Name, dict[str, Column]] = {}
    for row in connection.execute(queries.COLUMNS, {"ours": PLATFORM_SCHEMA}):
        columns.setdefault(_name(row), {})[row["column"]] = Column(
            row["column"],
            row["type"],
            row["base"],
            row["array"],
            row["not_null"],
            row["generated"],
            row["identity"],
            row["has_default"],
            row["expression"] or "",
            row["composite"],
        )
    keys: dict[Name, tuple[str, ...]] = {}
    leading: dict[Name, set[tuple[str, ...]]] = {}
    indexed: dict[Name, set[str]] = {}
    unique: dict[Name, set[tuple[str, ...]]] = {}
    for row in connection.execute(queries.INDEXES, {"ours": PLATFORM_SCHEMA}):
        name, index_columns = _name(row), tuple(row["columns"])
        if row["identifies"] and name not in keys:
            keys[name] = index_columns
        if row["distinct_"]:
            unique.setdefault(name, set()).add(tuple(row["distinct_"]))
        if row["complete"] and row["ordered"]:
            leading.setdefault(name, set()).add(index_columns)
        if row["complete"] and index_columns:
            indexed.setdefault(name, set()).add(index_columns[0])
    triggers: dict[Name, list[Trigger]] = {}
    for row in connection.execute(queries.TRIGGERS, {"ours": PLATFORM_SCHEMA}):
        triggers.setdefault(_name(row), []).append(
            Trigger(row["name"], row["function"], row["writes"], row["vectors"])
        )
    relations = {}
    for row in connection.execute(queries.RELATIONS, {"ours": PLATFORM_SCHEMA}):
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
        for row in connection.execute(queries.REFERENCES, {"ours": PLATFORM_SCHEMA})
    )
    functions = {
        _name(row): bool(row["callable"])
        for row in connection.execute(queries.FUNCTIONS, {"ours": PLATFORM_SCHEMA})
    }
    return Catalogue(relations, references, functions)


def _name(row: Mapping[str, Any]) -> Name:
    return Name(row["schema"], row["relation"])
