"""Reader of a database's catalogue: relations, columns, keys, references, triggers.

The system's own schemas and the platform's are left out. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.schema import index_predicate, queries, trigger_source
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.schema.trigger_source import RowChanges

PLATFORM_SCHEMA = "ops_platform"
SMALL = 1 << 20
"""Bytes up to which a table is read as a whole in no time: an index would not be used."""
ENCODINGS = ("UTF8", "LATIN1")
"""Encodings in which a character's code is Unicode's, as the expressions of ``gdpr.spellings`` need it."""
Kind = Literal["table", "partitioned", "partition", "child", "foreign", "view", "matview"]


@dataclass(frozen=True)
class Column:
    """A column. ``type`` as format_type writes it; ``base``: the type below arrays and domains.

    ``expression``: what a generated one is computed from. ``composite``: its type is a row of columns.
    ``alike``: texts that are not the same can be equal there, as those that differ in case.
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
    alike: bool = False

    @property
    def made_by_itself(self) -> bool:
        """Tell whether the database gives it a value where an insert names none."""
        return self.has_default or self.generated or self.identity


@dataclass(frozen=True)
class Reference:
    """A foreign key of ``table`` on ``target``; ``columns[i]`` refers to ``target_columns[i]``.

    One that a partition has counts as its table's. ``within``: the partition of ``target`` that it is about.
    """

    name: str
    table: Name
    columns: tuple[str, ...]
    target: Name
    target_columns: tuple[str, ...]
    on_delete: Literal["no action", "restrict", "cascade", "set null", "set default"]
    deferrable: bool
    within: Name | None = None


@dataclass(frozen=True)
class Trigger:
    """A trigger or rule. ``writes``: its function may write rows elsewhere, or cannot be read.

    ``vectors``: it computes text search vectors of a row anew with each update. ``row``: what it does to
    each row that is updated, before that; of one that acts afterwards, only what it refuses. ``update_of``:
    the columns of which one must be written; empty: any. ``when``: those that its condition looks at.
    """

    name: str
    function: str
    writes: bool
    vectors: bool = False
    row: RowChanges = trigger_source.NONE
    update_of: frozenset[str] = frozenset()
    when: frozenset[str] = frozenset()

    def acts_on(self, columns: Collection[str]) -> bool:
        """Tell whether an update that writes ``columns`` sets it off."""
        return all(not some or some & set(columns) for some in (self.update_of, self.when))


@dataclass(frozen=True)
class PartialIndex:
    """An index on the rows with ``conditions``: by column NOT NULL, NULL, or the text of a value.

    ``ordered``: of the kind btree or hash.
    """

    columns: tuple[str, ...]
    conditions: Mapping[str, str]
    ordered: bool


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
    partial: tuple[PartialIndex, ...] = ()
    """The valid indexes on a part of the rows that can be told."""
    small: bool = False
    """Whether the table, with its partitions, is read as a whole in no time."""

    @property
    def tells_rows_apart(self) -> bool:
        """Tell whether each row has a key, were it in small letters."""
        return bool(self.key or self.unique_names)

    @property
    def unique_names(self) -> tuple[str, ...]:
        """The columns of a unique index without NULLs, also of their small letters; empty: there is none."""
        return min(
            (
                columns
                for columns in self.unique
                if all(name in self.columns and self.columns[name].not_null for name in columns)
            ),
            default=(),
        )

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

    def parts(self, name: Name) -> set[Name]:
        """List a relation with its partitions and inherited children, at whatever depth."""
        below = [relation.name for relation in self.relations.values() if relation.parent == name]
        return {name}.union(*(self.parts(part) for part in below))

    def referring(self, target: Name) -> list[Reference]:
        """List the foreign keys on ``target``."""
        return [reference for reference in self.references if reference.target == target]


def read(connection: Connection) -> Catalogue:
    """Read the catalogue, as far as the role of ``connection`` may see it.

    Its queries see the same moment only in a REPEATABLE READ transaction. Raises ConfigurationError for a
    database whose encoding is not in ENCODINGS, and what psycopg raises.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ENCODINGS:
        raise ConfigurationError(
            f"the database {connection.info.dbname} has the encoding {encoding}, in which a search for "
            "people could miss them: nothing was changed: move it to a database with the encoding UTF8, by "
            "pg_dump and CREATE DATABASE ... ENCODING 'UTF8'"
        )
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
            row["alike"],
        )
    keys: dict[Name, tuple[str, ...]] = {}
    leading: dict[Name, set[tuple[str, ...]]] = {}
    indexed: dict[Name, set[str]] = {}
    unique: dict[Name, set[tuple[str, ...]]] = {}
    partial: dict[Name, list[PartialIndex]] = {}
    for row in connection.execute(queries.INDEXES, {"ours": PLATFORM_SCHEMA}):
        name, index_columns = _name(row), tuple(row["columns"] or ())
        if row["identifies"] and name not in keys:
            keys[name] = index_columns
        if row["distinct_"]:
            unique.setdefault(name, set()).add(tuple(row["distinct_"]))
        if not row["valid"] or not index_columns:
            continue
        if row["predicate"] is not None:
            conditions = index_predicate.conditions(row["predicate"])
            if conditions is not None:
                partial.setdefault(name, []).append(PartialIndex(index_columns, conditions, row["ordered"]))
            continue
        indexed.setdefault(name, set()).add(index_columns[0])
        if row["ordered"]:
            leading.setdefault(name, set()).add(index_columns)
    triggers: dict[Name, list[Trigger]] = {}
    for row in connection.execute(queries.TRIGGERS, {"ours": PLATFORM_SCHEMA}):
        triggers.setdefault(_name(row), []).append(
            Trigger(
                row["name"],
                row["function"],
                row["writes"],
                row["vectors"],
                _row_changes(row) if row["updates"] else trigger_source.NONE,
                frozenset(row["update_of"]),
                trigger_source.compared(row["definition"]),
            )
        )
    relations = {}
    for row in connection.execute(queries.RELATIONS, {"ours": PLATFORM_SCHEMA, "small": SMALL}):
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
            tuple(partial.get(name, ())),
            row["small"] and row["kind"] not in ("view", "foreign"),
        )
    references = [
        Reference(
            row["name"],
            _name(row),
            tuple(row["columns"]),
            Name(row["target_schema"], row["target"]),
            tuple(row["target_columns"]),
            row["on_delete"],
            row["deferrable"],
            Name(row["within_schema"], row["within"]) if row["within"] else None,
        )
        for row in connection.execute(queries.REFERENCES, {"ours": PLATFORM_SCHEMA})
    ]
    functions = {
        _name(row): bool(row["callable"])
        for row in connection.execute(queries.FUNCTIONS, {"ours": PLATFORM_SCHEMA})
    }
    # Each partition may have the same one by itself.
    alike = {replace(reference, name=""): reference for reference in reversed(references)}
    return Catalogue(relations, tuple(reversed(alike.values())), functions)


def _row_changes(row: Mapping[str, Any]) -> RowChanges:
    arguments = [argument for argument in row["arguments"].split("\\000") if argument]
    changes = trigger_source.row_changes(row["function"], row["language"], row["source"], arguments)
    # Afterwards the row is as it is.
    return changes if row["before"] else RowChanges(guarded=changes.guarded)


def _name(row: Mapping[str, Any]) -> Name:
    return Name(row["schema"], row["relation"])
