"""The condition that a row is another subject's in the same role of the data map.

Whether somebody else holds a value that finds the row, in the subject's table or in a side table; whether a
parent row is theirs; whether another value stands in the array or document. Pure: conditions in SQL, none
where the catalogue rules it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    KnownBy,
    json_edit_sql,
)
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import Identity, SparedRows, constant_sql, is_subject, joint_name


@dataclass(frozen=True)
class SameRole:
    """Other subjects than that of ``identity``. ``spared``: rows that are not its own any more."""

    data_map: DataMap
    catalogue: Catalogue
    identity: Identity
    spared: SparedRows | None = None

    def another(self, table: Name, belonging: Belonging, alias: str, *, found: bool) -> sql.Composable | None:
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
        roles, parent = (
            named_roles(self.data_map, way.table, way.roles),
            self.catalogue.relations.get(way.table),
        )
        if parent is None:
            return None
        # One parent, in one role, whose rows are one subject's: then so are these.
        if found and len(roles) == 1 and parent.identified_by(way.to):
            [role] = roles
            single = self.another(way.table, role, f"{alias}_", found=True)
            if single is None:
                return None
        owner = f"{alias}o"
        others = self._in_roles(way.table, way.roles, owner)
        if others is None:
            return None
        return parents(way, alias, owner, others)

    def _in_roles(self, table: Name, names: Iterable[str], alias: str) -> sql.Composable | None:
        """Write the condition that the row is another subject's in one of the roles."""
        tests = [
            test
            for belonging in named_roles(self.data_map, table, names)
            if (test := self.another(table, belonging, alias, found=False)) is not None
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


def parents(way: ByParent, alias: str, parent: str, *tests: sql.Composable) -> sql.Composable:
    """Write the condition that row ``alias`` is found through a row ``parent`` with these ``tests``."""
    joins = [
        sql.SQL("{} = {}").format(sql.Identifier(parent, to), sql.Identifier(alias, column))
        for column, to in zip(way.columns, way.to, strict=True)
    ]
    return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {})").format(
        way.table.identifier, sql.Identifier(parent), sql.SQL(" AND ").join([*joins, *tests])
    )


def named_roles(data_map: DataMap, table: Name, names: Iterable[str]) -> list[Belonging]:
    """List the table's roles of these names, all without names; never mentions."""
    wanted = set(names)
    return [
        belonging
        for belonging in data_map.tables[table].belongings
        if not isinstance(belonging.way, ByMention) and (not wanted or belonging.role in wanted)
    ]
