"""The ways in which another subject reaches rows that an erasure deletes or changes.

By the same role of the data map with another key; by the row's own nearest foreign keys; by a row of theirs
that refers to it; as one of another kind, by their own roles. Pure: conditions in SQL, none where the
catalogue rules a way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.gdpr.data_map import (
    EVERY,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByMention,
    ByParent,
    DataMap,
    Delete,
    Keep,
    KnownBy,
    json_edit_sql,
)
from ops_platform.gdpr.row_erasure.others.anybody import Anybody, takes, theirs
from ops_platform.gdpr.row_erasure.others.owners import Ownership
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import (
    Identity,
    SparedRows,
    constant_sql,
    is_subject,
    joint_name,
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
        another = self._another(table, belonging, alias, found=True)
        if another is not None:
            ways.append(Way(f"another {kind}'s in the same role", another))
        if not isinstance(way, ByParent) or not takes(belonging):
            return ways
        owner = f"{alias}s"
        for role in self._roles(way.table, way.roles):
            shared = self.shared(way.table, role, owner) if self.leaves(role) else None
            if shared is not None:
                test = self._parents(way, alias, owner, self.found(way.table, role, owner), shared)
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
            roles = self._roles(way.table, way.roles)
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

    def _another(
        self, table: Name, belonging: Belonging, alias: str, *, found: bool
    ) -> sql.Composable | None:
        """Write the condition that row ``alias`` is another subject's in this role; None: it cannot be.

        ``found``: the row is known to be the subject's in this role.
        """
        way, subject = belonging.way, self.data_map.subject
        test: sql.Composable | None
        if isinstance(way, ByColumn):
            by_key = set(subject.key) <= set(way.holds)
            if found and by_key:
                return None
            values: list[sql.Composable] = [sql.Identifier(alias, column) for column in way.columns]
            old = None if by_key else self._old(table, alias, found=found)
            test = self._held_by_another(way.holds, values, alias, unique=found, old=old)
        elif isinstance(way, ByArray) and self._elsewhere:
            own = sql.SQL("CAST({} AS {})").format(
                sql.Literal(list(self.identity.of(way.holds))),
                sql.SQL(self.catalogue.relations[table].columns[way.column].type),
            )
            test = sql.SQL("EXISTS (SELECT FROM unnest({}) AS e (value) WHERE e.value <> ALL ({}))").format(
                sql.Identifier(alias, way.column), own
            )
        elif isinstance(way, ByArray):
            element = sql.SQL("ANY ({})").format(sql.Identifier(alias, way.column))
            test = self._held_by_another((way.holds,), [element], alias, unique=False, old=None)
        elif isinstance(way, ByJson):
            test = self._another_value(table, way, alias, found=found)
            if found and (shared := self._own_name_held_by_another(table, way, alias)) is not None:
                test = shared if test is None else sql.SQL("({} OR {})").format(test, shared)
        elif isinstance(way, ByMention):
            test = None
        else:
            test = self._through(way, alias, found=found)
        if test is None or found or not belonging.where:
            return test
        columns = self.catalogue.relations[table].columns
        where = [
            constant_sql.is_any_of(columns[name], constants, alias)
            for name, constants in belonging.where.items()
        ]
        return sql.SQL("({})").format(sql.SQL(" AND ").join([test, *where]))

    def _old(self, table: Name, alias: str, *, found: bool) -> sql.Composable | None:
        """Write the condition that whoever came after the cutoff cannot have made the row; None: unknown.

        Without a time of creation, rows are not found by a name that somebody else has by now.
        """
        created = self.data_map.tables[table].created
        if self.spared is None or (created is None and not found):
            return None
        if created is None:
            return sql.SQL("true")
        return sql.SQL("({} > {}) IS NOT TRUE").format(
            sql.Identifier(alias, created), sql.Literal(self.spared.cutoff)
        )

    def _came_before(self, table: Name, owner: str, old: sql.Composable | None) -> list[sql.Composable]:
        """Leave out owners, rows of ``table``, who surely came after the cutoff, where the row is ``old``."""
        created = self.data_map.tables[table].created if table in self.data_map.tables else None
        if old is None or created is None or self.spared is None:
            return []
        later = sql.SQL("({} > {}) IS TRUE").format(
            sql.Identifier(owner, created), sql.Literal(self.spared.cutoff)
        )
        return [sql.SQL("NOT ({} AND {})").format(later, old)]

    def _held_by_another(
        self,
        holds: tuple[str, ...],
        values: list[sql.Composable],
        alias: str,
        *,
        unique: bool,
        old: sql.Composable | None,
    ) -> sql.Composable | None:
        """Write the condition that the values are another subject's.

        ``unique``: they are this one's. ``old``: where it is true, those who came later do not count.
        """
        subject, owner = self.data_map.subject, f"{alias}o"
        if self._elsewhere:
            return self._held_by_another_elsewhere(holds, values, unique=unique)
        known = next((known for known in subject.known_by if (known.name,) == holds), None)
        if known is not None:
            return self._in_side_table(known, values[0], owner, unique=unique, old=old)
        relation = self.catalogue.relations.get(subject.table)
        if relation is None or (unique and relation.identified_by(holds)):
            return None
        tests: list[sql.Composable] = [
            sql.SQL("{} = {}").format(sql.Identifier(owner, held), value)
            for held, value in zip(holds, values, strict=True)
        ]
        tests += self._came_before(subject.table, owner, old)
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND NOT {})").format(
            subject.table.identifier,
            sql.Identifier(owner),
            sql.SQL(" AND ").join(tests),
            is_subject(subject, self.identity, owner),
        )

    @property
    def _elsewhere(self) -> bool:
        """Tell whether the subjects' table is in another database."""
        return self.data_map.database is not None

    def _held_by_another_elsewhere(
        self, holds: tuple[str, ...], values: list[sql.Composable], *, unique: bool
    ) -> sql.Composable:
        """Write the condition for a database without the subjects' table.

        A value that is not this one's is another's, whether there is such a subject or not.
        """
        namesake = self.spared is not None and joint_name(holds) in self.spared.namesakes
        if unique:
            return sql.SQL("true" if namesake else "false")
        there = [sql.SQL("{} IS NOT NULL").format(value) for value in values]
        own = [
            sql.SQL("{} IN ({})").format(value, sql.SQL(", ").join(map(sql.Literal, known)))
            if (known := self.identity.of(name))
            else sql.SQL("false")
            for name, value in zip(holds, values, strict=True)
        ]
        if not namesake:
            there.append(sql.SQL("NOT ({})").format(sql.SQL(" AND ").join(own)))
        return sql.SQL("({})").format(sql.SQL(" AND ").join(there))

    def _in_side_table(
        self,
        known: KnownBy,
        value: sql.Composable,
        owner: str,
        *,
        unique: bool,
        old: sql.Composable | None,
    ) -> sql.Composable | None:
        relation = self.catalogue.relations.get(known.table)
        if relation is None or (unique and relation.identified_by([known.column])):
            return None
        others = self._in_roles(known.table, known.roles, owner)
        if others is None:
            return None
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} = {} AND {})").format(
            known.table.identifier,
            sql.Identifier(owner),
            sql.Identifier(owner, known.column),
            value,
            sql.SQL(" AND ").join([others, *self._came_before(known.table, owner, old)]),
        )

    def _through(self, way: ByParent, alias: str, *, found: bool) -> sql.Composable | None:
        roles, parent = self._roles(way.table, way.roles), self.catalogue.relations.get(way.table)
        if parent is None:
            return None
        # One parent, in one role, whose rows are one subject's: then so are these.
        if found and len(roles) == 1 and parent.identified_by(way.to):
            [role] = roles
            single = self._another(way.table, role, f"{alias}_", found=True)
            if single is None:
                return None
        owner = f"{alias}o"
        others = self._in_roles(way.table, way.roles, owner)
        if others is None:
            return None
        return self._parents(way, alias, owner, others)

    @staticmethod
    def _parents(way: ByParent, alias: str, parent: str, *tests: sql.Composable) -> sql.Composable:
        """Write the condition that row ``alias`` is found through a row ``parent`` with these ``tests``."""
        joins = [
            sql.SQL("{} = {}").format(sql.Identifier(parent, to), sql.Identifier(alias, column))
            for column, to in zip(way.columns, way.to, strict=True)
        ]
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {})").format(
            way.table.identifier, sql.Identifier(parent), sql.SQL(" AND ").join([*joins, *tests])
        )

    def _roles(self, table: Name, names: Iterable[str]) -> list[Belonging]:
        wanted = set(names)
        return [
            belonging
            for belonging in self.data_map.tables[table].belongings
            if not isinstance(belonging.way, ByMention) and (not wanted or belonging.role in wanted)
        ]

    def _in_roles(self, table: Name, names: Iterable[str], alias: str) -> sql.Composable | None:
        """Write the condition that the row is another subject's in one of the roles."""
        tests = [
            test
            for belonging in self._roles(table, names)
            if (test := self._another(table, belonging, alias, found=False)) is not None
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else None

    def _own_name_held_by_another(self, table: Name, way: ByJson, alias: str) -> sql.Composable | None:
        """Write the condition that somebody else has the subject's name by which the row was found, too."""
        values = self.identity.of(way.holds)
        if not values or way.holds in self.data_map.subject.key:
            return None
        own = sql.SQL("ANY ({})").format(sql.Literal(list(values)))
        old = self._old(table, alias, found=True)
        return self._held_by_another((way.holds,), [own], alias, unique=True, old=old)

    def _another_value(self, table: Name, way: ByJson, alias: str, *, found: bool) -> sql.Composable | None:
        """Write the condition that another value stands at the path; whether somebody has it is not asked."""
        if found and EVERY not in way.path.steps:
            return None
        own = [
            Jsonb(spelling)
            for value in self.identity.of(way.holds)
            for spelling in json_edit_sql.spellings(value)
        ]
        column = self.catalogue.relations[table].columns[way.column]
        document = sql.Identifier(alias, way.column)
        return sql.SQL(
            "EXISTS (SELECT FROM jsonb_path_query(CAST({} AS jsonb), CAST({} AS jsonpath)) AS v (value) "
            "WHERE jsonb_typeof(v.value) IN ('string', 'number') AND v.value <> ALL (CAST({} AS jsonb[])))"
        ).format(
            document if column.type == "jsonb" else sql.SQL("CAST({} AS jsonb)").format(document),
            sql.Literal(way.path.sql),
            sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, own))),
        )
