"""Strict reader of ``backups.yaml``: keys that are unknown, missing, doubled or ill-typed are refused.

Every message is ``file:line: key: what is wrong; what to do``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from ops_platform import lined_yaml
from ops_platform.backup.stanza.cron import Cron
from ops_platform.backup.stanza.model import (
    AT,
    KINDS,
    BackupConfig,
    Compression,
    Kind,
    Repository,
    Stanza,
    dagster_name,
)
from ops_platform.backup.stanza.repository_entries import (
    NAME,
    AllSchedules,
    NamedRepositoryEntry,
    RepositoryEntry,
    Schedules,
    Strict,
    fault,
    one_line,
)
from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.settings import Settings

# "global" is a section of pgBackRest's configuration, "all" names its stop file for all stanzas.
_RESERVED = ("global", "all")
_LEVELS: Mapping[str, range] = {
    "none": range(0),
    "lz4": range(-5, 13),
    "zst": range(-7, 23),
    "gz": range(-1, 10),
    "bz2": range(1, 10),
}


def load_backups(settings: Settings) -> BackupConfig:
    """Read ``backups.yaml`` of the configuration directory.

    Raises ConfigurationError ("file:line: key: what is wrong; what to do") for anything wrong in it.
    """
    return load(settings.config_dir / "backups.yaml")


def load(path: Path) -> BackupConfig:
    """Read and check one file. Raises ConfigurationError."""
    source = lined_yaml.load_one(path, "create it or set OPS_CONFIG_DIR")
    try:
        document = _File.model_validate(source.value)
    except ValidationError as error:
        raise _refusal(source, error) from None
    entries = _repositories(document, source)
    repositories = [
        Repository(entry.bucket, entry.path, str(path), entry.lock_margin_days, entry.name, number)
        for number, entry in enumerate(entries, 1)
    ]
    stanzas = {
        name: _stanza(name, document.defaults, entry, source) for name, entry in document.stanzas.items()
    }
    for repository, named in list(zip(repositories, entries, strict=True))[1:]:
        stanzas |= {
            other.name: other
            for stanza in list(stanzas.values())
            for other in (_elsewhere(stanza, repository, named, source),)
        }
    _refuse_same_names(stanzas, source)
    return BackupConfig(stanzas, *repositories)


def _repositories(document: _File, source: Document) -> Sequence[NamedRepositoryEntry]:
    """Return the entries of all repositories. Raises ConfigurationError for what is wrong between them."""
    if document.repository is not None and document.repositories is not None:
        raise ConfigurationError(
            f"{source.at(('repositories',))}: repositories: repository is there too; keep one of the two"
        )
    if document.repository is not None:
        return [NamedRepositoryEntry(name=Repository.name, **document.repository.model_dump())]
    if document.repositories is None:
        raise ConfigurationError(f"{source.at(())}: repository: missing; add it")
    wrong = fault(document.repositories)
    if wrong is not None:
        path = ("repositories", *wrong[0])
        raise ConfigurationError(f"{source.at(path)}: {'.'.join(map(str, path))}: {wrong[1]}")
    return document.repositories


def _elsewhere(
    stanza: Stanza, repository: Repository, entry: NamedRepositoryEntry, source: Document
) -> Stanza:
    """Make the stanza as it is in a further repository, with the schedules of that one."""
    crons = {} if entry.schedules is None else entry.schedules.model_dump()
    schedules: dict[Kind, str | None] = {kind: crons.get(kind) for kind in KINDS}
    where = ("repositories", repository.number - 1, "schedules")
    named: list[tuple[str, str | None]] = list(stanza.schedules.items())
    named += [(f"{kind} of {repository.name}", cron) for kind, cron in schedules.items()]
    _refuse_collisions(f"stanzas.{stanza.name}.schedules", named, source.at(where))
    return replace(
        stanza,
        name=repository.stanza(stanza.name),
        schedules=schedules,
        retention_days=entry.retention_days or stanza.retention_days,
        repository=repository.number,
    )


def _refuse_same_names(stanzas: Mapping[str, Stanza], source: Document) -> None:
    in_dagster: dict[str, str] = {}
    for name in stanzas:
        other = in_dagster.setdefault(dagster_name(name), name)
        if other != name:
            marks = "-, _ and @" if AT in name + other else "- and _"
            raise ConfigurationError(
                f"{source.at(('stanzas',))}: stanzas: {other!r} and {name!r} differ by {marks} only, and "
                "Dagster's names have _ alone; rename one of them"
            )


_Count = Annotated[int, Field(gt=0)]


class _CompressionEntry(Strict):
    type: Literal["none", "lz4", "zst", "gz", "bz2"]
    level: int | None = None


class _Defaults(Strict):
    schedules: AllSchedules
    retention_days: Annotated[int, Field(gt=0, le=9_999_999)]
    compression: _CompressionEntry
    process_max: Annotated[int, Field(gt=0, le=999)]
    bundle: bool
    encryption: Literal["aes-256-cbc", "none"]
    archive_timeout_seconds: _Count
    rpo_target_seconds: _Count
    rto_target_seconds: _Count
    production_size_bytes: _Count
    # Files of installations from before do not have them.
    verification_seconds: _Count = 4 * 3600
    verification_bytes: _Count = 100 << 30

    @field_validator("compression")
    @classmethod
    def _level(cls, value: _CompressionEntry) -> _CompressionEntry:
        levels = _LEVELS[value.type]
        if value.level is not None and value.level not in levels:
            known = f"{levels[0]} to {levels[-1]}" if levels else "none: remove level"
            raise ValueError(f"{value.type} has no level {value.level}; its levels are {known}")
        return value


class _Entry(Strict):
    """A stanza: its connection, and its own values of any of the defaults."""

    connection: str
    data_path: str
    socket_path: str
    port: str | int
    schedules: Schedules = Schedules()
    retention_days: int | None = None
    compression: _CompressionEntry | None = None
    process_max: int | None = None
    bundle: bool | None = None
    encryption: Literal["aes-256-cbc", "none"] | None = None
    archive_timeout_seconds: int | None = None
    rpo_target_seconds: int | None = None
    rto_target_seconds: int | None = None
    production_size_bytes: int | None = None
    verification_seconds: int | None = None
    verification_bytes: int | None = None
    append_only: dict[str, str] = Field({})

    @field_validator("append_only")
    @classmethod
    def _tables(cls, value: dict[str, str]) -> dict[str, str]:
        for table, column in value.items():
            if not all(table.partition(".")[::2]) or not column:
                raise ValueError(
                    f"{table!r} is not schema.table with a column; for example public.audit_logs: occurred_at"
                )
        return value

    @field_validator("connection", "data_path", "socket_path")
    @classmethod
    def _line(cls, value: str) -> str:
        return one_line(value)


class _File(Strict):
    repository: RepositoryEntry | None = None
    repositories: list[NamedRepositoryEntry] | None = None
    defaults: _Defaults
    stanzas: dict[str, _Entry]

    @field_validator("stanzas")
    @classmethod
    def _names(cls, value: dict[str, _Entry]) -> dict[str, _Entry]:
        if not value:
            raise ValueError("is empty; declare at least one stanza")
        for name in value:
            if not NAME.fullmatch(name) or name in _RESERVED:
                raise ValueError(
                    f"{name!r} cannot be a stanza's name; use up to 40 lower-case letters, digits, _ and -, "
                    "beginning with a letter, and neither 'global' nor 'all'"
                )
        return value


def _stanza(name: str, defaults: _Defaults, entry: _Entry, source: Document) -> Stanza:
    given = entry.model_dump(
        exclude_unset=True, exclude={"connection", "data_path", "socket_path", "port", "append_only"}
    )
    schedules = {**defaults.schedules.model_dump(), **given.pop("schedules", {})}
    merged = {**defaults.model_dump(), **given, "schedules": schedules}
    try:
        # Once more: the limits of the defaults hold for what overrides them.
        policy = _Defaults.model_validate(merged)
    except ValidationError as error:
        raise _refusal(source, error, ("stanzas", name)) from None
    crons: dict[Kind, str | None] = {kind: schedules[kind] for kind in KINDS}
    key = ("stanzas", name, "schedules")
    _refuse_collisions(".".join(key), list(crons.items()), source.at(key))
    fields = policy.model_dump(exclude={"schedules", "compression"})
    return Stanza(
        name=name,
        connection=entry.connection,
        data_path=entry.data_path,
        socket_path=entry.socket_path,
        port=str(entry.port),
        schedules=crons,
        compression=Compression(policy.compression.type, policy.compression.level),
        append_only=dict(entry.append_only),
        source=str(source.file),
        **fields,
    )


def _refuse_collisions(key: str, crons: Sequence[tuple[str, str | None]], where: str) -> None:
    scheduled = [(kind, Cron(text)) for kind, text in crons if text is not None]
    for (kind, cron), (other_kind, other_cron) in itertools.combinations(scheduled, 2):
        day = cron.coincides(other_cron)
        if day is not None:
            raise ConfigurationError(
                f"{where}: {key}: {kind} ({cron.text}) and {other_kind} ({other_cron.text}) "
                f"are due in the same minute, for example on {day:%d %B %Y}; move one of them"
            )


# --- messages -------------------------------------------------------------------------------------

_TYPES = {
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}


def _refusal(source: Document, error: ValidationError, prefix: Sequence[str] = ()) -> ConfigurationError:
    first = error.errors()[0]
    location = [*prefix, *first["loc"]]
    # Members of a union are alternatives of one key, not keys.
    if location and location[-1] in ("str", "int"):
        location.pop()
    key = ".".join(str(part) for part in location) or "the file"
    return ConfigurationError(f"{source.at(location)}: {_message(key, first)}")


def _message(key: str, error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; remove it or correct its spelling"
        case "missing":
            return f"{key}: missing; add it"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case "literal_error":
            return f"{key}: {_short(error['input'])} is not known; use {error['ctx']['expected']}"
        case "greater_than":
            return f"{key}: {error['input']} is too small; give a number greater than {error['ctx']['gt']}"
        case "less_than_equal":
            return f"{key}: {error['input']} is too large; give at most {error['ctx']['le']}"
        case error_type:
            expectation = _TYPES.get(error_type, error["msg"])
            return f"{key}: {expectation}, not {_short(error['input'])}; correct it"


def _short(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
