"""The ways in which another subject reaches rows that an erasure deletes or changes.

By the same role of the data map with another key; by the row's own nearest foreign keys; by a row of theirs
that refers to it; as one of another kind, by their own roles. Pure: conditions in SQL, none where the
catalogue rules a way out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ops_platform.gdpr.data_map import (
    Belonging,
    ByColumn,
    ByParent,
    DataMap,
    Delete,
    Keep,
)
from ops_platform.gdpr.row_erasure.others import same_role
from ops_platform.gdpr.row_erasure.others.anybody import Anybody, takes, theirs
from ops_platform.gdpr.row_erasure.others.owners import Ownership
from ops_platform.gdpr.row_erasure.others.same_role import SameRole
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import (
    Identity,
    SparedRows,
    row_predicates,
)

ROW = "t"


@dataclass(frozen=True)
class Way:
    """One way in which others reach a row, in words without values, and as a condition.

    ``by_law``: the row is kept by law as theirs, so that nobody may decide to delete it.
    """

    text: str
    test: sql.Composable
    by_law: bool = False


@dataclass(frozen=True)
class Reach:
    """What others reach of the rows of ``identity``. ``spared``: rows that are not the subject's any more."""

    data_map: DataMap
    catalogue: Catalogue
    identity: Identity
    spared: SparedRows | None = None

    @cached_property
    def ownership(self) -> Ownership:
        """The owners of rows by foreign keys."""
        return Ownership(self.data_map.subject, self.catalogue)

    @cached_property
    def same_role(self) -> SameRole:
        """Another subject's rows in the same role of the map."""
        return SameRole(self.data_map, self.catalogue, self.identity, self.spared)

    @cached_property
    def of_others(self) -> tuple[Ownership, ...]:
        """The owners of rows by foreign keys, of each other kind of subject."""
        return tuple(
            Ownership(other.subject, self.catalogue)
            for other in self.data_map.others
            if other.subject.table in self.catalogue.relations
        )

    def found(self, table: Name, belonging: Belonging, alias: str = ROW) -> sql.Composable:
        """Write the condition for rows of the role, without those that the law keeps."""
        tests = [self._in_role(table, belonging, alias)]
        tests += [
            sql.SQL("{} IS NOT TRUE").format(self._in_role(table, kept, alias))
            for kept in self.data_map.tables[table].belongings
            if isinstance(kept.erasure, Keep) and isinstance(belonging.erasure, Delete)
        ]
        return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))

    def ways(self, table: Name, belonging: Belonging, alias: str = ROW) -> list[Way]:
        """List the ways for rows of a role that is about to delete or change them; empty: nobody can."""
        if not takes(belonging):
            return []
        return [
            *self.by_data_map(table, belonging, alias),
            *self.by_foreign_keys(table, belonging, alias),
            *self.of_other_kinds(table, alias),
        ]

    def by_data_map(self, table: Name, belonging: Belonging, alias: str = ROW) -> list[Way]:
        """List the ways that only the map knows: by the same role, by a row through which these are found."""
        kind, way, ways = self.data_map.subject.kind, belonging.way, list[Way]()
        another = self.same_role.another(table, belonging, alias, found=True)
        if another is not None:
            ways.append(Way(f"another {kind}'s in the same role", another))
        if not isinstance(way, ByParent) or not takes(belonging):
            return ways
        owner = f"{alias}s"
        for role in same_role.named_roles(self.data_map, way.table, way.roles):
            shared = self.shared(way.table, role, owner) if self.leaves(role) else None
            if shared is not None:
                test = same_role.parents(way, alias, owner, self.found(way.table, role, owner), shared)
                ways.append(Way(f"of a row of {way.table} that stays for another {kind}", test))
        return ways

    def leaves(self, belonging: Belonging) -> bool:
        """Tell whether rows of the role that others reach stay for them.

        After a restore also where the map says nothing: the first erasure cannot have taken them.
        """
        undecided = belonging.shared is None and self.spared is not None and self.spared.after_restore
        return takes(belonging) and (undecided or belonging.shared in ("keep", "stand_in"))

    def shared(self, table: Name, belonging: Belonging, alias: str = ROW) -> sql.Composable | None:
        """Write the condition for rows of the role that another reaches in any way; None: nobody can."""
        ways = self.ways(table, belonging, alias)
        return sql.SQL("({})").format(sql.SQL(" OR ").join(way.test for way in ways)) if ways else None

    def by_foreign_keys(self, table: Name, belonging: Belonging, alias: str = ROW) -> list[Way]:
        """List the ways that the catalogue alone knows."""
        kind, ways = self.data_map.subject.kind, list[Way]()
        other = self.ownership.other(self.identity, table, alias)
        if other is not None and not self._is_only_owner(table, belonging):
            columns = [
                "+".join(reference.columns)
                for level in self.ownership.levels(table)[:1]
                for reference in level
            ]
            by = f"by {table}.{' or '.join(columns)}" if columns else f"as a row of {table}"
            ways.append(Way(f"another {kind}'s {by}", sql.SQL("({}) IS NOT NULL").format(other)))
        erasure = belonging.erasure
        # What others refer to such a rule keeps; an updated row can still be referred to.
        if isinstance(erasure, Delete) and erasure.otherwise is None:
            ways += [
                Way(
                    f"referred to by {incoming.reference.table}.{'+'.join(incoming.reference.columns)} "
                    f"of another {kind}'s row",
                    incoming.test,
                )
                for incoming in self.ownership.incoming(self.identity, table, alias)
            ]
        return ways

    def of_other_kinds(self, table: Name, alias: str = ROW) -> list[Way]:
        """List the ways of anybody of another kind, by roles in which the row is theirs."""
        ways = list[Way]()
        for other, role in theirs(self.data_map, table):
            test = Anybody(other, self.catalogue).test(table, role, alias)
            by_law = isinstance(role.erasure, Keep)
            if test is not None:
                kept = "kept by law, " if by_law else ""
                ways.append(Way(f"{kept}of the kind {other.subject.kind} ({role.role})", test, by_law))
        return ways

    def _is_only_owner(self, table: Name, belonging: Belonging) -> bool:
        """Tell whether the very column by which the role finds a row is its nearest foreign key, alone."""
        way, subject = belonging.way, self.data_map.subject
        if isinstance(way, ByColumn):
            target, held = subject.table, dict(zip(way.columns, way.holds, strict=True))
            if table == subject.table:
                return held == {column: column for column in subject.key}
            if set(way.holds) != set(subject.key):
                return False
        elif isinstance(way, ByParent):
            target, held = way.table, dict(zip(way.columns, way.to, strict=True))
            roles = same_role.named_roles(self.data_map, way.table, way.roles)
            if table == subject.table or not all(self._is_only_owner(target, role) for role in roles):
                return False
        else:
            return False
        levels = self.ownership.levels(table)
        return bool(levels) and all(
            reference.target == target
            and dict(zip(reference.columns, reference.target_columns, strict=True)) == held
            for reference in levels[0]
        )

    def _in_role(self, table: Name, belonging: Belonging, alias: str) -> sql.Composable:
        return row_predicates.condition(
            self.data_map, self.catalogue, table, belonging, self.identity, alias, self.spared
        )
