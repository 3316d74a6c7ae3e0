"""Ownership of rows by the catalogue alone: the subjects to whom a row leads by its nearest foreign keys.

A comment that refers to its author and to a post is its author's: the post, and with it the post's author, is
further away. Rows that refer to two subjects directly are both theirs. The data map says only which table
holds the subjects, and its key. Of each kind of subject by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ops_platform.gdpr.data_map import Subject
from ops_platform.gdpr.schema import Catalogue, Name, Reference
from ops_platform.gdpr.subject import Identity, is_subject

DEPTH = 4
"""References that are followed to an owner. Further away rows lead to nearly everybody (a line to an order to
a shop to its owner is three), and each reference is a look-up for each row."""
HOPS = 3
"""References that are followed backwards, from a row to those that refer to it, through rows of nobody."""


@dataclass(frozen=True)
class Incoming:
    """Rows of others that refer to a row: ``test`` is true where there are any."""

    reference: Reference
    test: sql.Composable


@dataclass(frozen=True)
class Ownership:
    """The owners of rows in a database with this ``catalogue``."""

    subject: Subject
    catalogue: Catalogue

    @cached_property
    def distances(self) -> dict[Name, int]:
        """Count the references from each table to the subject's; leave out those beyond DEPTH."""
        distances, level = {self.subject.table: 0}, {self.subject.table}
        for distance in range(1, DEPTH + 1):
            level = {
                reference.table
                for reference in self.catalogue.references
                if reference.target in level and reference.table not in distances
            }
            distances |= dict.fromkeys(level, distance)
        return distances

    def levels(self, table: Name, limit: int = DEPTH) -> list[list[Reference]]:
        """Group the references that lead to a subject, the nearest first.

        What always leads to somebody hides what is further away.
        """
        levels: dict[int, list[Reference]] = {}
        for reference in self.catalogue.references:
            distance = self.distances.get(reference.target, limit)
            if reference.table == table and distance < limit:
                levels.setdefault(distance, []).append(reference)
        nearest = []
        for distance, references in sorted(levels.items()):
            nearest.append(references)
            if distance == 0 and any(self._always(reference) for reference in references):
                break
        return nearest

    def other(
        self, identity: Identity | None, table: Name, alias: str, limit: int = DEPTH
    ) -> sql.Composable | None:
        """Write the key, as text, of another subject whose row ``alias`` is; NULL where there is none.

        ``identity``: None where the erased one is of another kind, and anybody is another. None: no foreign
        key leads from the table to a subject.
        """
        if table == self.subject.table:
            key = _text(alias, self.subject.key)
            if identity is None:
                return key
            return sql.SQL("CASE WHEN NOT {} THEN {} END").format(
                is_subject(self.subject, identity, alias), key
            )
        levels = self.levels(table, limit)
        if not levels:
            return None
        others: list[sql.Composable] = [
            self._coalesce([self._other_by(reference, identity, alias) for reference in level])
            for level in levels
        ]
        if len(levels) == 1:
            return others[0]
        owned: list[sql.Composable] = [
            sql.SQL(" OR ").join([self._owned_by(reference, alias) for reference in level])
            for level in levels
        ]
        return sql.SQL("CASE {} END").format(
            sql.SQL(" ").join(
                sql.SQL("WHEN {} THEN {}").format(test, key) for test, key in zip(owned, others, strict=True)
            )
        )

    def always_somebodys(self, table: Name, limit: int = DEPTH) -> bool:
        """Tell whether every row of the table leads to a subject, by references that are never NULL."""
        return table == self.subject.table or any(
            self._always(reference)
            and self.always_somebodys(reference.target, self.distances[reference.target])
            for level in self.levels(table, limit)
            for reference in level
        )

    def owned_only_by(self, reference: Reference) -> bool:
        """Tell whether rows with this reference are always the owner's of the row that they refer to."""
        return [one for level in self.levels(reference.table) for one in level] == [reference]

    def incoming(self, identity: Identity, table: Name, alias: str) -> list[Incoming]:
        """Write tests for rows of others that refer to row ``alias``, directly or by way of nobody's rows.

        Rows that refer to the subject itself are left out: what becomes of them each role says.
        """
        if table == self.subject.table:
            return []
        return [
            Incoming(reference, test)
            for reference in self.catalogue.referring(table)
            if (test := self._refers(reference, identity, alias, HOPS)) is not None
        ]

    def _refers(
        self, reference: Reference, identity: Identity, target: str, hops: int
    ) -> sql.Composable | None:
        if self.owned_only_by(reference):
            return None
        alias = f"{target}r"
        other = self.other(identity, reference.table, alias)
        others: list[sql.Composable]
        if other is not None:
            others = [sql.SQL("({}) IS NOT NULL").format(other)]
        else:
            # Nobody's by itself: it matters where a row of others refers to it in turn.
            others = [
                test
                for further in (self.catalogue.referring(reference.table) if hops > 1 else ())
                if (test := self._refers(further, identity, alias, hops - 1)) is not None
            ]
        if not others:
            return None
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND ({}))").format(
            reference.table.identifier,
            sql.Identifier(alias),
            joined(reference, alias, target),
            sql.SQL(" OR ").join(others),
        )

    def _other_by(self, reference: Reference, identity: Identity | None, alias: str) -> sql.Composable:
        if reference.target != self.subject.table:
            parent = f"{alias}p"
            limit = self.distances[reference.target]
            other = self.other(identity, reference.target, parent, limit)
            assert other is not None  # noqa: S101 - it has a distance
            return sql.SQL("(SELECT {} FROM {} AS {} WHERE {} LIMIT 1)").format(
                other,
                reference.target.identifier,
                sql.Identifier(parent),
                joined(reference, alias, parent),
            )
        return sql.SQL("CASE WHEN {} AND NOT {} THEN {} END").format(
            _not_null(alias, reference.columns),
            self._is_own(reference, identity, alias),
            _text(alias, reference.columns),
        )

    def _is_own(self, reference: Reference, identity: Identity | None, alias: str) -> sql.Composable:
        if identity is None:
            return sql.SQL("false")
        if set(reference.target_columns) == set(self.subject.key):
            tests = [
                sql.SQL("{} = {}").format(sql.Identifier(alias, column), sql.Literal(identity.values[target]))
                for column, target in zip(reference.columns, reference.target_columns, strict=True)
            ]
            return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))
        owner = f"{alias}p"
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
            self.subject.table.identifier,
            sql.Identifier(owner),
            joined(reference, alias, owner),
            is_subject(self.subject, identity, owner),
        )

    def _owned_by(self, reference: Reference, alias: str) -> sql.Composable:
        """Write the test that the reference leads to some subject."""
        if reference.target == self.subject.table:
            return _not_null(alias, reference.columns)
        parent = f"{alias}p"
        levels = self.levels(reference.target, self.distances[reference.target])
        further = sql.SQL(" OR ").join(self._owned_by(one, parent) for level in levels for one in level)
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND ({}))").format(
            reference.target.identifier, sql.Identifier(parent), joined(reference, alias, parent), further
        )

    def _always(self, reference: Reference) -> bool:
        relation = self.catalogue.relations.get(reference.table)
        return relation is not None and all(
            name in relation.columns and relation.columns[name].not_null for name in reference.columns
        )

    @staticmethod
    def _coalesce(keys: Sequence[sql.Composable]) -> sql.Composable:
        return keys[0] if len(keys) == 1 else sql.SQL("coalesce({})").format(sql.SQL(", ").join(keys))


def joined(reference: Reference, child: str, parent: str) -> sql.Composable:
    """Write the condition that row ``child`` refers to row ``parent``."""
    tests = [
        sql.SQL("{} = {}").format(sql.Identifier(child, column), sql.Identifier(parent, target))
        for column, target in zip(reference.columns, reference.target_columns, strict=True)
    ]
    if reference.within is not None:
        # Another partition may have a row with the same values.
        tests.append(
            sql.SQL("{} IN (SELECT relid FROM pg_partition_tree(to_regclass({})))").format(
                sql.Identifier(parent, "tableoid"), sql.Literal(reference.within.identifier.as_string(None))
            )
        )
    return sql.SQL(" AND ").join(tests)


def _text(alias: str, columns: Sequence[str]) -> sql.Composable:
    return sql.SQL("CAST(ROW({}) AS text)").format(
        sql.SQL(", ").join(sql.Identifier(alias, column) for column in columns)
    )


def _not_null(alias: str, columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(" AND ").join(
        sql.SQL("{} IS NOT NULL").format(sql.Identifier(alias, column)) for column in columns
    )
