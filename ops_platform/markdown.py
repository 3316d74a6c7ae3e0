"""Tables in Markdown, for what Dagster shows of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out rows of cells below the names of their columns; None is an empty cell.

    Markdown in a cell is kept; a bar or a line break in it ends neither the cell nor the row.
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
