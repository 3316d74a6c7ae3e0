"""Rows of the views for analysts, read a few thousand at a time: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg import sql

from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.settings import load_settings

View = Literal["objectives", "hours", "days", "figures", "ledger", "exclusions"]
VIEWS: Mapping[View, str | None] = {
    "hours": "hour",
    "days": "day",
    "figures": "measured_at",
    "ledger": "hour",
    "exclusions": "starts_at",
    "objectives": None,
}
"""The views, and the column whose time is selected by; None: there is none."""
BATCH = 5000
"""Rows that are held at once."""

Kind = Literal["integer", "number", "time", "text", "boolean", "json"]
_KINDS: Mapping[int, Kind] = {
    16: "boolean", 20: "integer", 21: "integer", 23: "integer", 25: "text", 114: "json", 700: "number",
    701: "number", 1043: "text", 1184: "time", 1700: "number", 3802: "json",
}  # fmt: skip
"""By the number of PostgreSQL's type."""


@dataclass(frozen=True)
class Selection:
    """What to read: rows of one service or objective, from ``since`` up to before ``until``; None: of all."""

    service: str | None = None
    slo: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError(f"{moment.isoformat()} has no time zone: add one, such as UTC")


ALL = Selection()


@dataclass(frozen=True)
class Records:
    """The rows of a view: the kind of each column by its name, and batches of rows."""

    columns: Mapping[str, Kind]
    batches: Iterator[list[tuple[Any, ...]]]


@contextmanager
def read(view: View, selection: Selection = ALL, *, url: str | None = None) -> Iterator[Records]:
    """Read a view in order of time, within one snapshot.

    ``url``: of the ops database; None: that of the settings. Raises ConfigurationError when there is none,
    Unavailable when the database cannot be read.
    """
    with postgres.session(url or _url(), application="ops-platform-analysis") as ops:
        try:
            ops.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            with ops.cursor("analysis", row_factory=psycopg.rows.tuple_row) as cursor:
                cursor.itersize = BATCH
                query, values = statement(view, selection)
                cursor.execute(query, values)
                columns = {
                    column.name: _KINDS.get(column.type_code, "text") for column in cursor.description or ()
                }
                yield Records(columns, _batches(cursor))
        except psycopg.errors.InsufficientPrivilege:
            raise Unavailable(
                "this role may not read the views for analysts: connect as ops_analyst or ops_worker"
            ) from None
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise Unavailable(
                f"there is no view analysis.{view} in the ops database: run 'ops-platform migrate'"
            ) from None
        except psycopg.Error as error:
            raise Unavailable(f"the views for analysts cannot be read: {describe(error)}") from None


def _url() -> str:
    settings = load_settings()
    return settings.analyst_database_url or settings.require("database_url")


def statement(view: View, selection: Selection) -> tuple[sql.Composed, dict[str, object]]:
    """Compose the query of a selection, and its values. Raises ConfigurationError for times of no time."""
    time = VIEWS[view]
    if time is None and (selection.since or selection.until):
        raise ConfigurationError(f"{view} are of no time: leave the times out")
    conditions: list[sql.Composable] = []
    # What is left out of a service is left out of each of its objectives.
    slo = "(slo = %(slo)s OR slo IS NULL)" if view == "exclusions" else "slo = %(slo)s"
    for given, condition in ((selection.service, "service = %(service)s"), (selection.slo, slo)):
        if given is not None:
            conditions.append(sql.SQL(condition))
    if time is not None and selection.until is not None:
        conditions.append(sql.SQL("{} < %(until)s").format(sql.Identifier(time)))
    if time is not None and selection.since is not None:
        last = "ends_at" if view == "exclusions" else time
        comparison = sql.SQL("{} > %(since)s" if view == "exclusions" else "{} >= %(since)s")
        conditions.append(comparison.format(sql.Identifier(last)))
    order = [name for name in (time, "service", "slo", "id" if view == "ledger" else None) if name]
    composed = sql.SQL("SELECT * FROM {view}{where} ORDER BY {order}").format(
        view=sql.Identifier("analysis", view),
        where=sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
        order=sql.SQL(", ").join(map(sql.Identifier, order)),
    )
    return composed, dict(vars(selection))


def _batches(cursor: psycopg.ServerCursor[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while rows := cursor.fetchmany(BATCH):
        yield rows
