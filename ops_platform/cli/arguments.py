"""How arguments are read that click has no type for."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from ops_platform.errors import ConfigurationError

objectives = click.option(
    "--objectives",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="A directory of OpenSLO documents; else that of OPS_CONFIG_DIR.",
)
"""Where objectives are read from."""
data_map = click.option(
    "--data-map",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Else data_map.yaml in OPS_CONFIG_DIR.",
)
subject_file = click.option(
    "--subject-file",
    type=click.File(encoding="utf-8-sig"),
    required=True,
    help="Keys of subjects, one a line; - is stdin. Keys are personal: they do not belong on a command line.",
)
YEARS = range(2000, 2100)
"""Other ones are slips; and at the ends of the calendar, arithmetic overflows."""


class LazyChoice(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """A click.Choice whose values are read when they are needed, not when the command is defined."""

    name = "choice"

    def __init__(self, values: Callable[[], Sequence[str]]) -> None:
        self._values = values

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._choice.convert(value, param, ctx)

    def get_metavar(self, *args: Any, **kwargs: Any) -> str | None:
        return self._choice.get_metavar(*args, **kwargs)

    def get_missing_message(self, *args: Any, **kwargs: Any) -> str | None:
        return self._choice.get_missing_message(*args, **kwargs)

    def shell_complete(self, *args: Any, **kwargs: Any) -> Any:
        return self._choice.shell_complete(*args, **kwargs)

    @property
    def _choice(self) -> click.Choice[str]:
        return click.Choice(self._values())


def moment(text: str) -> datetime:
    """UTC unless it says otherwise. Raises ConfigurationError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text} is no time: write 2026-01-31T14:00") from None
    if found.year not in YEARS:
        raise ConfigurationError(f"{text} is no time that can be meant: years go from 2000 to 2099")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def user() -> str:
    """Who is at the keyboard; in a container the system may know no more than a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def subject_keys(file: TextIO) -> list[str]:
    """Those that a subject file holds. Raises ConfigurationError when there is none, or no text."""
    try:
        keys = [line.strip() for line in file if line.strip()]
    except UnicodeDecodeError:
        raise ConfigurationError("--subject-file is no text in UTF-8: write one key a line") from None
    if not keys:
        raise ConfigurationError("--subject-file holds no key")
    return keys
