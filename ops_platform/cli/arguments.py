"""Options that several commands share, and readers of arguments that click has no type for."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings

if TYPE_CHECKING:
    from ops_platform.gdpr.data_map import DataMap

objectives = click.option(
    "--objectives",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="A directory of OpenSLO documents; else that of OPS_CONFIG_DIR.",
)
"""The directory of the objectives."""
data_map = click.option(
    "--data-map",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Else data_map.yaml in OPS_CONFIG_DIR.",
)
kind = click.option(
    "--kind",
    default=None,
    metavar="NAME",
    help="The kind of subject whose keys these are; required where the map has several.",
)
"""The kind of subject, of those in the data map."""
subject_file = click.option(
    "--subject-file",
    type=click.File(encoding="utf-8-sig"),
    required=True,
    help="Keys of subjects, one a line; - is stdin. A key of several columns is a JSON array, as [7, 42]. "
    "Keys are personal: they do not belong on a command line.",
)
DATABASE = (
    "The database is OPS_PRODUCT_DATABASE_URL, or what libpq's own variables and service file say: "
    "PGSERVICE, PGHOST."
)
"""The end of the help of commands on a product database."""
repository = click.option(
    "--repository",
    "repository_name",
    default=None,
    metavar="NAME|NUMBER",
    help="Which repository of backups.yaml; else the first, or the one in the stanza's name.",
)
"""The repository, where backups.yaml has two."""
YEARS = range(2000, 2100)
"""Years that can be meant. Others are slips, and arithmetic overflows at the ends of the calendar."""


class LazyChoice(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """A click.Choice whose values are read when they are needed, not when the command is defined."""

    name = "choice"

    def __init__(self, values: Callable[[], Sequence[str]]) -> None:
        self._values = values

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Accept one of the values. Raises click.BadParameter that names them."""
        return self._choice.convert(value, param, ctx)

    def get_metavar(self, *args: Any, **kwargs: Any) -> str | None:
        """Show the values in the usage line."""
        return self._choice.get_metavar(*args, **kwargs)

    def get_missing_message(self, *args: Any, **kwargs: Any) -> str | None:
        """Name the values where none was given."""
        return self._choice.get_missing_message(*args, **kwargs)

    def shell_complete(self, *args: Any, **kwargs: Any) -> Any:
        """Complete a value that was begun."""
        return self._choice.shell_complete(*args, **kwargs)

    @property
    def _choice(self) -> click.Choice[str]:
        return click.Choice(self._values())


def moment(text: str) -> datetime:
    """Read a time in ISO 8601, in UTC unless it has another zone; return it in UTC.

    Raises ConfigurationError when it is not a time, or not in YEARS.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text} is not a time: write 2026-01-31T14:00") from None
    if time.year not in YEARS:
        raise ConfigurationError(f"{text} is not a time that can be meant: use a year from 2000 to 2099")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def user() -> str:
    """Return the name of the user at the keyboard; in a container there may be a number only (uid-1000)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def load_map(settings: Settings, data_map: Path | None, kind: str | None) -> DataMap:
    """Parse the data map, for this kind of subject.

    Raises ConfigurationError, with the kinds, when the map has several and none was named.
    """
    from ops_platform.gdpr.data_map import kinds, parser

    return kinds.choose(parser.load(data_map or settings.config_dir / "data_map.yaml"), kind)


def subject_keys(file: TextIO) -> list[str]:
    """Read the keys of a subject file, one a line.

    Raises ConfigurationError when the file holds no key or is not text in UTF-8.
    """
    try:
        keys = [line.strip() for line in file if line.strip()]
    except UnicodeDecodeError:
        raise ConfigurationError("--subject-file is not text in UTF-8: write one key a line") from None
    if not keys:
        raise ConfigurationError("--subject-file holds no key: write one key a line")
    return keys
