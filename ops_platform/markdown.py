"""Tables in Markdown, for the metadata that Dagster shows of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out rows of cells below the names of their columns; None becomes an empty cell.

    Markdown in a cell is kept; bars are escaped, and line breaks become spaces.
    Raises ValueError when a row has more or fewer cells than there are columns.
    """
    lines = [_line(columns), "|---" * len(columns) + "|"]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns")
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.splitlines()).replace("|", "\\|")
