"""The views for analysts as pandas' data frames, with types that know what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ops_platform.analysis.records import Kind, Selection, View, read

if TYPE_CHECKING:
    import pandas as pd

_DTYPES: Mapping[Kind, Any] = {
    "integer": "Int64",
    "number": "Float64",
    "time": "datetime64[us, UTC]",
    "text": "string",
    "boolean": "boolean",
    "json": "object",
}
_BOUNDS = ("good_least", "good_most", "bad_least", "bad_most")


def counts(
    *,
    service: str | None = None,
    slo: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    by: Literal["hour", "day"] = "hour",
    url: str | None = None,
) -> pd.DataFrame:
    """Read the counted events of each hour, or day, with their state and reason.

    Whole numbers; ``<NA>`` where they are not known. Budgets are of the adjusted columns, which leave out
    maintenance. Raises ConfigurationError, Unavailable.
    """
    view: View = "hours" if by == "hour" else "days"
    return _frame(view, Selection(service, slo, since, until), url)


def bounds(
    *,
    service: str | None = None,
    slo: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    url: str | None = None,
) -> pd.DataFrame:
    """Read the least and most good and bad events of each hour: the same where they are known.

    ``<NA>`` where nothing bounds them. Raises ConfigurationError, Unavailable.
    """
    frame = _frame("hours", Selection(service, slo, since, until), url)
    return frame[
        ["service", "slo", "hour", "state", *_BOUNDS, *(f"adjusted_{name}" for name in _BOUNDS), "reason"]
    ]


def figures(
    *,
    service: str | None = None,
    slo: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    period: str | None = None,
    url: str | None = None,
) -> pd.DataFrame:
    """Read the reported figures: verdict, percentages, budget left; ``period`` as 1d, 30d, month.

    Raises ConfigurationError, Unavailable.
    """
    frame = _frame("figures", Selection(service, slo, since, until), url)
    return frame if period is None else frame[frame["period"] == period].reset_index(drop=True)


def ledger(
    *,
    service: str | None = None,
    slo: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    url: str | None = None,
) -> pd.DataFrame:
    """Read the entries of the error budgets' ledger; their sum over an hour is what is known of it now.

    Raises ConfigurationError, Unavailable.
    """
    return _frame("ledger", Selection(service, slo, since, until), url)


def exclusions(
    *,
    service: str | None = None,
    slo: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    url: str | None = None,
) -> pd.DataFrame:
    """Read the times that are left out and touch the given one, withdrawn ones too.

    Raises ConfigurationError, Unavailable.
    """
    return _frame("exclusions", Selection(service, slo, since, until), url)


def objectives(*, service: str | None = None, slo: str | None = None, url: str | None = None) -> pd.DataFrame:
    """Read each version of the objectives that figures were made with.

    Raises ConfigurationError, Unavailable.
    """
    return _frame("objectives", Selection(service, slo), url)


def _frame(view: View, selection: Selection, url: str | None) -> pd.DataFrame:
    import pandas as pd

    with read(view, selection, url=url) as records:
        columns = records.columns

        def typed(rows: list[tuple[object, ...]]) -> pd.DataFrame:
            """Type a batch at once: as Python's objects all rows would take ten times the memory."""
            values: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(columns)
            return pd.DataFrame(
                {
                    name: pd.array(_floats(column) if kind == "number" else column, dtype=_DTYPES[kind])
                    for (name, kind), column in zip(columns.items(), values, strict=True)
                }
            )

        parts = [typed(rows) for rows in records.batches]
        return pd.concat(parts, ignore_index=True) if parts else typed([])


def _floats(column: Sequence[Any]) -> list[float | None]:
    return [None if value is None else float(value) for value in column]
