"""The outcome of one run of retention, table by table, in numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Counts:
    """Rows of a table as they are now.

    ``due``: their term is over. Of these, ``held`` stay through legal holds, their own or those of rows that
    refer to them, and ``referenced`` because rows that stay refer to them. ``overdue``: not held, and a day
    late. ``undated``: their column says no time, so that no term runs.
    """

    due: int
    held: int
    referenced: int
    overdue: int
    undated: int


@dataclass(frozen=True)
class TableOutcome:
    """The outcome for one table. ``term``: as ISO-like words. ``counts``: None where nobody could look.

    ``changed``: rows deleted or made anonymous; of a dry run, that would be. ``at_most``: of a dry run, where
    rows refer to each other in a circle. ``problem``: why the term is not carried out; None: it is.
    """

    table: str
    action: str
    term: str
    changed: int
    counts: Counts | None
    problem: str | None = None
    at_most: bool = False


@dataclass(frozen=True)
class Report:
    """One run: ``run_id`` is None of a dry run; ``at``: the database's time by which rows are due.

    ``outside``: what is left of the objects and cached keys of subjects whose rows went; None: nothing.
    """

    run_id: str | None
    at: datetime
    map_version: str
    tables: tuple[TableOutcome, ...]
    holds_known: bool = True
    outside: str | None = None

    @property
    def problems(self) -> list[str]:
        """What somebody must look at, one line each."""
        of_tables = [f"{table.table}: {table.problem}" for table in self.tables if table.problem]
        return of_tables if self.outside is None else [*of_tables, self.outside]

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs and the audit ledger; times in ISO 8601."""
        return {
            "run_id": self.run_id,
            "at": self.at.isoformat(),
            "map_version": self.map_version,
            "holds_known": self.holds_known,
            "outside": self.outside,
            "tables": [_table(table) for table in self.tables],
        }


def _table(table: TableOutcome) -> Mapping[str, Any]:
    counts = table.counts
    return {
        "table": table.table,
        "action": table.action,
        "term": table.term,
        "changed": table.changed,
        "at_most": table.at_most,
        **(dict.fromkeys(Counts.__annotations__) if counts is None else asdict(counts)),
        "problem": table.problem,
    }
