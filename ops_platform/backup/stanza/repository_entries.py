"""Entries of ``backups.yaml`` for repositories and schedules: their keys, and what is refused in them.

``config_file`` reads the file and words the messages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ops_platform.backup.stanza.cron import Cron
from ops_platform.backup.stanza.model import Repository

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MOST = 2
"""Repositories at most; more are not tried."""


def one_line(value: str) -> str:
    """Return ``value``. Raises ValueError unless it is one line of text."""
    # It ends up in pgBackRest's configuration, where a line break would begin another option.
    if not value.strip() or any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must be one line of text; remove line breaks and control characters")
    return value


def _off_as_none(value: object) -> object:
    return None if value is False or value == "off" else value


def _cron(value: str) -> str:
    try:
        Cron(value)
    except ValueError as error:
        raise ValueError(f"{error}; correct {value!r}") from None
    return value


Schedule = Annotated[str | None, BeforeValidator(_off_as_none)]


class Strict(BaseModel):
    """A mapping whose keys are all known, and whose values have exactly their type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Schedules(Strict):
    """Cron expressions by kind. A stanza inherits a kind that it does not mention; None switches it off."""

    full: Schedule = None
    differential: Schedule = None
    incremental: Schedule = None

    @field_validator("*")
    @classmethod
    def _valid(cls, value: str | None) -> str | None:
        return None if value is None else _cron(value)


class AllSchedules(Schedules):
    """Cron expressions of each kind, none left out."""

    full: Schedule
    differential: Schedule
    incremental: Schedule


class RepositoryEntry(Strict):
    """The one repository: its bucket, the path in it, and how long a deletion can be undone."""

    bucket: str
    path: str
    lock_margin_days: Annotated[int, Field(gt=0, le=3650)] = Repository.lock_margin_days

    @field_validator("bucket", "path")
    @classmethod
    def _line(cls, value: str) -> str:
        return one_line(value)

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/") or (value != "/" and value.endswith("/")):
            raise ValueError("must begin with a slash and not end with one; for example /pgbackrest")
        return value


class NamedRepositoryEntry(RepositoryEntry):
    """One of several repositories. The second has schedules of its own, and perhaps another retention."""

    name: str
    schedules: AllSchedules | None = None
    retention_days: Annotated[int, Field(gt=0, le=9_999_999)] | None = None

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError(
                f"{value!r} cannot be a repository's name; use up to 40 lower-case letters, digits, _ and -, "
                "beginning with a letter"
            )
        return value


def fault(entries: Sequence[NamedRepositoryEntry]) -> tuple[Sequence[str | int], str] | None:
    """Find what is wrong with the entries together: where it is, and the words; None when nothing is."""
    if not entries:
        return (), "is empty; declare one repository, or two"
    if len(entries) > MOST:
        return (MOST,), f"there are {len(entries)}; {MOST} are supported, remove the others"
    first, *others = entries
    for key in ("schedules", "retention_days"):
        if getattr(first, key) is not None:
            return (0, key), "the first repository has those of defaults and stanzas; set them there"
    for number, entry in enumerate(others, 1):
        if entry.name == first.name:
            return (number, "name"), f"{entry.name!r} is there twice; rename one of them"
        if entry.schedules is None:
            wanted = "schedules: missing; add when its backups are taken: full, differential, incremental"
            return (number,), wanted
        if entry.schedules.full is None:
            return (number, "schedules", "full"), "is off, and without a full nothing is restored from there"
    return None
