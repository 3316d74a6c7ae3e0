"""The decisions about shared rows as conditions: which rows a change takes, and which it may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByParent, Delete
from ops_platform.gdpr.row_erasure.others.anybody import takes
from ops_platform.gdpr.row_erasure.others.reach import ROW, Reach, Way
from ops_platform.gdpr.row_erasure.others.register import Recorded
from ops_platform.gdpr.schema import Name


@dataclass(frozen=True)
class Decisions:
    """What was decided about the rows that others ``reach``, as ``recorded``."""

    reach: Reach
    recorded: Recorded

    def unforeseen(self, table: Name, belonging: Belonging) -> dict[str, sql.Composable]:
        """Write the conditions for rows of others that nobody decided to change, by what shows whose.

        Empty: there are none, or the role leaves such rows to the others.
        """
        if not takes(belonging):
            return {}
        another = f"another {self.reach.data_map.subject.kind}'s"
        ways = {
            f"{another} by foreign keys, whatever the data map says": self.reach.by_foreign_keys(
                table, belonging
            ),
            f"{another} by the data map, since it was looked": self.reach.by_data_map(table, belonging),
            "another kind's": self.reach.of_other_kinds(table),
        }
        return {whose: self._undecided(table, belonging, found) for whose, found in ways.items() if found}

    def _undecided(self, table: Name, belonging: Belonging, ways: list[Way]) -> sql.Composable:
        test = sql.SQL("({})").format(sql.SQL(" OR ").join(way.test for way in ways))
        recorded = self.recorded.test(self.reach.catalogue, table, belonging)
        if recorded is None:
            return test
        undecided = sql.SQL("({} AND NOT {})").format(test, recorded)
        # Of what the law keeps nobody decides: a row may have become such a one since it was recorded.
        kept = [way.test for way in ways if way.by_law and isinstance(belonging.erasure, Delete)]
        return sql.SQL("({})").format(sql.SQL(" OR ").join([undecided, *kept])) if kept else undecided

    def limits(self, table: Name, belonging: Belonging, *, apart: bool) -> list[sql.Composable]:
        """Write what limits a change of the role. ``apart``: it is about the rows that stay for others."""
        if not takes(belonging):
            return [*self._references_that_stay(belonging)]
        # With stand_in, what an anonymise rule sets is set all the same.
        undecided = belonging.shared is None and self.reach.leaves(belonging)
        if belonging.shared != "keep" and not belonging.replaced and not undecided:
            return []
        recorded = self.recorded.test(self.reach.catalogue, table, belonging)
        if apart:
            return [recorded or sql.SQL("false")]
        return [] if recorded is None else [sql.SQL("NOT {}").format(recorded)]

    def _references_that_stay(self, belonging: Belonging) -> Iterator[sql.Composable]:
        """Leave references to rows that stay for others, who may have made them."""
        way, alias = belonging.way, f"{ROW}_kept"
        if not isinstance(way, ByParent) or not isinstance(belonging.erasure, Anonymise):
            return
        for parent in self.reach.data_map.tables[way.table].belongings:
            recorded = self.recorded.test(self.reach.catalogue, way.table, parent, alias)
            if recorded is None or not self.reach.leaves(parent):
                continue
            yield sql.SQL("NOT EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
                way.table.identifier,
                sql.Identifier(alias),
                sql.SQL(" AND ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(alias, to), sql.Identifier(ROW, column))
                    for column, to in zip(way.columns, way.to, strict=True)
                ),
                recorded,
            )
