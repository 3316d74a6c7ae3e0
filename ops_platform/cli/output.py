"""Printing of results: tables for people, JSON for programs, progress on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import click

from ops_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from ops_platform.clients.postgres import Connection

PIPED_COLUMNS = 160

as_json = click.option("--json", "json_output", is_flag=True, help="Print JSON for programs.")


def console(*, stderr: bool = False) -> Console:
    """Make a console with colours and progress on a terminal only; rich honours NO_COLOR."""
    from rich.console import Console  # for tables and bars only: --help and --json do not need it

    stream = sys.stderr if stderr else sys.stdout
    # Piped output has no width of its own; rich would fold tables at 80 columns.
    width = None if stream.isatty() else PIPED_COLUMNS
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def print_json(value: Any) -> None:
    """Print JSON: times in ISO 8601, decimals as numbers, UUIDs as text."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; None is shown as "-". Cells are data: brackets in them are not markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="table.title"), title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        # The first column names the row. It is never folded, because people copy it.
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    console().print(table)


def write(file: Path, text: str) -> None:
    """Write a file and print its name. Raises ConfigurationError where it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written ({error.strerror})") from None
    click.echo(str(file))


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr when that is a terminal; the block reports fractions from 0 to 1."""
    if not sys.stderr.isatty():
        yield lambda fraction: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)


def announce(what: str, url: str) -> None:
    """Name on stderr the database that is about to change, as a connection to it was made.

    Raises what ``postgres.connect`` raises.
    """
    from ops_platform.clients import postgres

    announce_connected(what, lambda: postgres.connect(url))


def announce_connected(what: str, connect: Callable[[], Connection]) -> None:
    """Name on stderr the database that is about to change, as ``connect`` reaches it.

    Raises what ``connect`` raises.
    """
    from ops_platform.clients import postgres

    with connect() as connection:
        click.echo(f"about to change the {what} {postgres.located(connection)}", err=True)


def size(count: int | None) -> str:
    """Word a number of bytes with units of powers of 1024; None is "-"."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Word a duration with its two largest units; None is "unknown"."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    )


def moment(at: datetime | str | None) -> str:
    """Word a time (aware, or in ISO 8601) in UTC, to the second; None is "-"."""
    if at is None:
        return "-"
    value = datetime.fromisoformat(at) if isinstance(at, str) else at
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def end(code: int) -> NoReturn:
    """End the command with this exit code."""
    raise click.exceptions.Exit(code)
