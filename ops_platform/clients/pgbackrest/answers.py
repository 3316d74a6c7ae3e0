"""Answers of pgBackRest in JSON, read into records: what ``info`` and ``repo-ls`` say, and the index. Pure.

The names of their fields are known here and nowhere else. They are those of pgBackRest 2.45 to 2.60.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops_platform.clients.pgbackrest.manifest import checked_lines

# Status codes of info: https://pgbackrest.org/command.html#command-info
OK, NO_PATH, NO_BACKUPS, MISSING_DATA = 0, 1, 2, 3
_INFO_FAILED = 99
_UNENCRYPTED = ("none", "mixed")


@dataclass(frozen=True)
class StoredEntry:
    """One entry of a listing: a folder, or a file with its size in bytes and its arrival (Unix seconds)."""

    is_file: bool
    size: int = 0
    time: int = 0

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> StoredEntry:
        """Read one entry of ``repo-ls --output=json``."""
        return cls(entry.get("type") == "file", int(entry.get("size", 0)), int(entry.get("time", 0)))

    @property
    def at(self) -> datetime:
        """The time of arrival."""
        return datetime.fromtimestamp(self.time, UTC)


@dataclass(frozen=True)
class DatabaseEntry:
    """One cluster that the stanza has stood for."""

    id: int
    system_id: int
    version: str


@dataclass(frozen=True)
class BackupEntry:
    """One set in the list. Sizes in bytes; ``repo_*`` as stored, ``*delta*`` what this set copied.

    ``wal_start`` and ``wal_stop`` are None for a set that was taken of a stopped server, as are its LSNs.
    """

    label: str
    type: str
    prior: str | None
    references: tuple[str, ...]
    started_at: datetime
    completed_at: datetime
    lsn_start: str | None
    lsn_stop: str | None
    wal_start: str | None
    wal_stop: str | None
    size: int
    delta: int
    repo_size: int
    repo_delta: int
    database_id: int
    error: bool
    annotations: Mapping[str, str]

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> BackupEntry:
        """Read one element of ``backup``."""
        info, times, lsn = entry["info"], entry["timestamp"], entry.get("lsn") or {}
        return cls(
            label=entry["label"],
            type=entry["type"],
            prior=entry.get("prior"),
            references=tuple(entry.get("reference") or ()),
            started_at=datetime.fromtimestamp(times["start"], UTC),
            completed_at=datetime.fromtimestamp(times["stop"], UTC),
            lsn_start=lsn.get("start"),
            lsn_stop=lsn.get("stop"),
            wal_start=entry["archive"]["start"],
            wal_stop=entry["archive"]["stop"],
            size=info["size"],
            delta=info["delta"],
            repo_size=info["repository"].get("size", info["repository"]["delta"]),
            repo_delta=info["repository"]["delta"],
            database_id=int(entry["database"]["id"]),
            error=bool(entry.get("error", False)),
            annotations=dict(entry.get("annotation") or {}),
        )


@dataclass(frozen=True)
class StanzaInfo:
    """What ``info`` says of one stanza; ``status`` is one of its codes."""

    status: int | None = None
    sets: tuple[BackupEntry, ...] = ()
    databases: tuple[DatabaseEntry, ...] = ()
    cipher: str = "none"
    unreadable: str | None = field(default=None, compare=False)
    """What pgBackRest says of a repository that it cannot read."""

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> StanzaInfo:
        """Read one element of ``info --output=json``."""
        failed = [repo["status"] for repo in entry.get("repo", []) if repo["status"]["code"] == _INFO_FAILED]
        return cls(
            status=entry.get("status", {}).get("code"),
            sets=tuple(BackupEntry.parse(backup) for backup in entry.get("backup", [])),
            databases=tuple(
                DatabaseEntry(int(database["id"]), int(database["system-id"]), str(database["version"]))
                for database in entry.get("db", [])
            ),
            cipher=entry.get("cipher", "none"),
            unreadable=str(failed[0]["message"]) if failed else None,
        )

    @classmethod
    def of_index(cls, text: str) -> StanzaInfo:
        """Read backup.info, which ``info`` makes its answer of, but for the archive's ends.

        Raises CheckFailed when it is damaged; ValueError, KeyError or TypeError when it is no such file.
        """
        sections: dict[str, dict[str, Any]] = {}
        for section, key, value, _ in checked_lines(text):
            sections.setdefault(section, {})[key] = value
        sets = tuple(_indexed(label, entry) for label, entry in sections.get("backup:current", {}).items())
        databases = tuple(
            DatabaseEntry(int(number), int(entry["db-system-id"]), str(entry["db-version"]))
            for number, entry in sections["db:history"].items()
        )
        cipher = "aes-256-cbc" if "cipher-pass" in sections.get("cipher", {}) else "none"
        return cls(OK if sets else NO_BACKUPS, sets, databases, cipher)

    @property
    def exists(self) -> bool:
        """Tell whether the stanza was created in the repository and can hold backups."""
        return bool(self.databases) and self.status not in (NO_PATH, MISSING_DATA)

    @property
    def is_encrypted(self) -> bool:
        """Tell whether pgBackRest encrypts all that it stores."""
        return self.cipher not in _UNENCRYPTED


def _indexed(label: str, entry: Mapping[str, Any]) -> BackupEntry:
    """Read one set of the index."""
    return BackupEntry(
        label=label,
        type=entry["backup-type"],
        prior=entry.get("backup-prior"),
        references=tuple(entry.get("backup-reference") or ()),
        started_at=datetime.fromtimestamp(entry["backup-timestamp-start"], UTC),
        completed_at=datetime.fromtimestamp(entry["backup-timestamp-stop"], UTC),
        lsn_start=entry.get("backup-lsn-start"),
        lsn_stop=entry.get("backup-lsn-stop"),
        wal_start=entry.get("backup-archive-start"),
        wal_stop=entry.get("backup-archive-stop"),
        size=entry["backup-info-size"],
        delta=entry["backup-info-size-delta"],
        repo_size=entry.get("backup-info-repo-size", entry["backup-info-repo-size-delta"]),
        repo_delta=entry["backup-info-repo-size-delta"],
        database_id=int(entry["db-id"]),
        error=bool(entry.get("backup-error", False)),
        annotations=dict(entry.get("backup-annotation") or {}),
    )


@dataclass(frozen=True)
class TablespaceEntry:
    """One tablespace of a set, and the directory that it had."""

    oid: int
    name: str
    destination: str


def tablespaces(answer: Iterable[Mapping[str, Any]], label: str) -> list[TablespaceEntry]:
    """Read the tablespaces of a set from the answer of ``info --set``."""
    return [
        TablespaceEntry(int(tablespace["oid"]), str(tablespace["name"]), str(tablespace["destination"]))
        for stanza in answer
        for entry in stanza.get("backup", ())
        if entry["label"] == label
        for tablespace in entry.get("tablespace") or ()
    ]
