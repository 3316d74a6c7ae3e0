"""The rows that a term means, as SQL conditions: due, kept by a hold, referred to by rows that stay.

A term ends as Regulation 1182/71 has it: months by the calendar, on the last day of a shorter month; a day
counts to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.gdpr.data_map import ByMention, DataMap, RetentionTerm
from ops_platform.gdpr.retention import role_reference
from ops_platform.gdpr.retention.role_reference import RoleReference
from ops_platform.gdpr.schema import Catalogue, Column, Name, Reference
from ops_platform.gdpr.subject import Identity, constant_sql, row_predicates

_NEVER = sql.SQL("false")
_MARGIN = timedelta(days=5)
"""The most by which months of different lengths and time zones can differ."""
LATE = timedelta(days=1)
"""After this time beyond its term, a row that is there is overdue: the job runs once a day."""


class Held(NamedTuple):
    """A subject under a legal hold, with the map of their kind."""

    of_kind: DataMap
    identity: Identity


@dataclass(frozen=True)
class DueRows:
    """The conditions at ``now``, by the terms of ``data_map``, which are those of every kind of subject."""

    data_map: DataMap
    catalogue: Catalogue
    now: datetime
    held_subjects: Sequence[Held] = ()

    def due(self, table: Name, alias: str, now: datetime | None = None) -> sql.Composable:
        """Write the condition for rows whose term is over at ``now``, and that it still has to change."""
        term = self._term(table)
        columns = self.catalogue.relations[table].columns
        expired = _expired(term, columns[term.of], alias, now or self.now)
        if term.values is None:
            return expired
        return sql.SQL("({} AND {})").format(expired, self.waiting(table, alias))

    def waiting(self, table: Name, alias: str) -> sql.Composable:
        """Write the condition for rows that do not have the new values, whether their term is over or not."""
        return _any(
            [
                sql.SQL("CAST({} AS text) IS DISTINCT FROM CAST({} AS text)").format(
                    sql.Identifier(alias, name), value
                )
                for name, value in self.values(table).items()
            ]
        )

    def values(self, table: Name) -> dict[str, sql.Composable]:
        """Write the new values of the rows that are kept."""
        columns = self.catalogue.relations[table].columns
        return {
            name: sql.SQL("CAST({} AS {})").format(
                sql.Literal(
                    Jsonb(value) if columns[name].type in ("json", "jsonb") and value is not None else value
                ),
                sql.SQL(columns[name].type),
            )
            for name, value in (self._term(table).values or {}).items()
        }

    def undated(self, table: Name, alias: str) -> sql.Composable:
        """Write the condition for rows that say no time from which the term runs."""
        of = sql.Identifier(alias, self._term(table).of)
        return sql.SQL("({of} IS NULL OR NOT isfinite({of}))").format(of=of)

    def held(self, table: Name, alias: str) -> sql.Composable:
        """Write the condition for rows of subjects under a legal hold; rows that mention them are others'."""
        tests = [
            row_predicates.condition(of_kind, self.catalogue, table, belonging, identity, alias)
            for of_kind, identity in self.held_subjects
            for belonging in of_kind.tables[table].belongings
            if not isinstance(belonging.way, ByMention)
        ]
        return _any(tests)

    def kept(self, table: Name, alias: str, seen: tuple[Name, ...] = ()) -> sql.Composable:
        """Write the condition for rows that a hold keeps: their own, or of due rows that refer to them."""
        if not self.held_subjects:
            return _NEVER
        tests = self._kept_but_by_itself(table, alias, seen)
        if self._deletes(table):
            for reference in self.referring(table):
                if reference.table == table:
                    start = _any(self._kept_but_by_itself(table, "h", seen))
                    tests.append(_refers_on(reference, alias, start, self._where(reference, "h")))
        return _any(tests)

    def _kept_but_by_itself(self, table: Name, alias: str, seen: tuple[Name, ...]) -> list[sql.Composable]:
        tests = [self.held(table, alias)]
        if self._deletes(table):
            for reference in self.referring(table):
                if self._deletes(reference.table) and reference.table not in (*seen, table):
                    inner = f"{alias}_"
                    kept = self.kept(reference.table, inner, (*seen, table))
                    tests.append(_exists(reference, alias, inner, [*self._where(reference, inner), kept]))
        return tests

    def referenced(self, table: Name, alias: str) -> sql.Composable:
        """Write the condition for rows to which any other row refers that still needs them."""
        inner = f"{alias}_"
        return _any(
            [
                _exists(
                    reference,
                    alias,
                    inner,
                    [*self._where(reference, inner), *self._needs(reference, inner)],
                )
                for reference in self.referring(table)
            ]
        )

    def referring(self, table: Name) -> list[Reference]:
        """List the references for which rows of ``table`` wait: all where they go, else of who is lost.

        Rows that stay lose what leads from them to their person: who was found through them only, and holds
        anything personal, would be found by nobody.
        """
        if self._deletes(table):
            return role_reference.without_implied(self.catalogue.referring(table))
        changed = set(self._term(table).values or ())
        led = [
            reference
            for reference in self.catalogue.referring(table)
            if isinstance(reference, RoleReference)
            and reference.leads_by & changed
            and (reference.names or self._is_somebodys(reference.table))
        ]
        return role_reference.without_implied(led)

    def goes(self, table: Name, alias: str, seen: tuple[Name, ...] = ()) -> sql.Composable:
        """Write the condition for rows that a run will take, whatever goes before them included."""
        parts = [
            self.due(table, alias),
            sql.SQL("{} IS NOT TRUE").format(self.held(table, alias)),
        ]
        inner = f"{alias}_"
        for reference in self.referring(table):
            stays = [*self._where(reference, inner), *self._needs(reference, inner)]
            if self._deletes(reference.table) or self._needs(reference, inner):
                circular = reference.table in (*seen, table)
                goes = (
                    self._due_and_free(reference.table, inner)
                    if circular
                    else self.goes(reference.table, inner, (*seen, table))
                )
                stays.append(sql.SQL("{} IS NOT TRUE").format(goes))
            parts.append(sql.SQL("NOT {}").format(_exists(reference, alias, inner, stays)))
        return sql.SQL("({})").format(sql.SQL(" AND ").join(parts))

    def takes(self, table: Name, alias: str) -> sql.Composable:
        """Write the condition for rows that may be changed now: due, not held, and nothing refers to them."""
        return sql.SQL("({} AND {} IS NOT TRUE AND {} IS NOT TRUE)").format(
            self.due(table, alias), self.held(table, alias), self.referenced(table, alias)
        )

    def is_circular(self, table: Name) -> bool:
        """Tell whether rows that go can refer to each other in a circle that leads back to ``table``."""
        reached, level = set[Name](), [table] if self._deletes(table) else []
        while level:
            level = [
                reference.table
                for target in level
                for reference in self.referring(target)
                if self._deletes(reference.table) and reference.table not in reached
            ]
            reached.update(level)
        return table in reached

    def _where(self, reference: Reference, alias: str) -> list[sql.Composable]:
        """Write the conditions under which a row refers at all: the ``where`` of a role."""
        if not isinstance(reference, RoleReference):
            return []
        columns = self.catalogue.relations[reference.table].columns
        return [constant_sql.is_any_of(columns[name], values, alias) for name, values in reference.where]

    def _needs(self, reference: Reference, alias: str) -> list[sql.Composable]:
        """Write the condition under which a row in a role must still be found: it is not anonymous yet."""
        described = self.data_map.tables.get(reference.table)
        if not isinstance(reference, RoleReference) or described is None or described.term is None:
            return []
        return [] if described.term.values is None else [self.waiting(reference.table, alias)]

    def _is_somebodys(self, table: Name, seen: tuple[Name, ...] = ()) -> bool:
        """Tell whether rows hold anything personal, or rows that are found through them do."""
        described = self.data_map.tables[table]
        return bool(described.personal or described.documents) or any(
            self._is_somebodys(reference.table, (*seen, table))
            for reference in self.catalogue.referring(table)
            if isinstance(reference, RoleReference) and reference.table not in (*seen, table)
        )

    def _due_and_free(self, table: Name, alias: str) -> sql.Composable:
        return sql.SQL("({} AND {} IS NOT TRUE)").format(self.due(table, alias), self.held(table, alias))

    def _deletes(self, table: Name) -> bool:
        described = self.data_map.tables.get(table)
        return described is not None and described.term is not None and described.term.values is None

    def _term(self, table: Name) -> RetentionTerm:
        term = self.data_map.tables[table].term
        if term is None:
            raise ValueError(f"{table} has no term")
        return term


def _expired(term: RetentionTerm, column: Column, alias: str, now: datetime) -> sql.Composable:
    """Write the condition by the calendar of the term's zone, with a bound that an index answers."""
    zone = ZoneInfo(term.zone or "UTC")
    of, local = sql.Identifier(alias, term.of), column.base != "timestamp with time zone"
    bound = term.after.before(now.astimezone(zone)) + _MARGIN
    wall: sql.Composable = of
    if column.base == "date":
        wall = sql.SQL("(CAST({} AS timestamp) + interval '1 day')").format(of)
    elif not local:
        wall = sql.SQL("({} AT TIME ZONE {})").format(of, sql.Literal(str(zone)))
    literal = sql.SQL("CAST({} AS {})").format(
        sql.Literal((bound.replace(tzinfo=None) if local else bound).isoformat()), sql.SQL(column.base)
    )
    # AND promises no order: the sum of a time near the end of all times is an error.
    return sql.SQL(
        "({of} <= {bound} AND CASE WHEN isfinite({of}) AND {of} <= {bound} "
        "THEN ({wall} + CAST({period} AS interval)) AT TIME ZONE {zone} <= {now} ELSE false END)"
    ).format(
        of=of,
        bound=literal,
        wall=wall,
        period=sql.Literal(term.after.interval),
        zone=sql.Literal(str(zone)),
        now=sql.Literal(now),
    )


def _exists(
    reference: Reference, alias: str, inner: str, conditions: Sequence[sql.Composable] = ()
) -> sql.Composable:
    """Write the condition that a row of the reference's table refers to this one; not a row to itself."""
    pairs: list[sql.Composable] = [
        sql.SQL("{} = {}").format(sql.Identifier(inner, column), sql.Identifier(alias, target))
        for column, target in zip(reference.columns, reference.target_columns, strict=True)
    ]
    if reference.table == reference.target:
        pairs.append(
            sql.SQL(
                "({inner}.tableoid, {inner}.ctid) IS DISTINCT FROM ({outer}.tableoid, {outer}.ctid)"
            ).format(inner=sql.Identifier(inner), outer=sql.Identifier(alias))
        )
    pairs.extend(conditions)
    return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {})").format(
        reference.table.identifier, sql.Identifier(inner), sql.SQL(" AND ").join(pairs)
    )


def _refers_on(
    reference: Reference, alias: str, start: sql.Composable, where: Sequence[sql.Composable]
) -> sql.Composable:
    """Write the condition for rows to which one of ``start``, called h, leads by a table's own reference.

    ``where``: conditions under which a row, called h, refers to another.
    """
    here, there = (
        sql.SQL(", ").join(sql.Identifier("h", column) for column in columns)
        for columns in (reference.columns, reference.target_columns)
    )
    names = [sql.Identifier(f"c{number}") for number in range(len(reference.columns))]
    columns = sql.SQL(", ").join(names)
    return sql.SQL(
        "({outer}) IN (WITH RECURSIVE up ({columns}) AS (SELECT {here} FROM {table} AS h "
        "WHERE {start} AND {where} UNION SELECT {here} FROM {table} AS h JOIN up ON ({there}) = ({joined}) "
        "WHERE {where}) SELECT {columns} FROM up)"
    ).format(
        outer=sql.SQL(", ").join(sql.Identifier(alias, column) for column in reference.target_columns),
        columns=columns,
        here=here,
        there=there,
        joined=sql.SQL(", ").join(sql.SQL("up.{}").format(name) for name in names),
        table=reference.table.identifier,
        start=start,
        where=sql.SQL(" AND ").join(where) if where else sql.SQL("true"),
    )


def _any(tests: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else _NEVER
