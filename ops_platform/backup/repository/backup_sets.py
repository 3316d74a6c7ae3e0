"""What the repository says it holds: backup sets and their chains, read from pgBackRest's ``info``.

Whether their WAL is there is in ``wal`` and ``verification``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from ops_platform.backup.stanza import Kind, parse_kind
from ops_platform.errors import CheckFailed

# Status codes of info: https://pgbackrest.org/command.html#command-info
_OK, _NO_PATH, _NO_BACKUPS, _MISSING_DATA = 0, 1, 2, 3


@dataclass(frozen=True)
class BackupSet:
    """One set. Times are pgBackRest's own, sizes bytes, LSNs as PostgreSQL writes them.

    ``size_bytes`` is the whole cluster's, ``delta_bytes`` what this set copied of it;
    ``repo_*`` the same as stored, compressed and encrypted.
    """

    label: str
    kind: Kind
    prior: str | None
    references: tuple[str, ...]
    """Other sets that hold files of this one."""
    started_at: datetime
    completed_at: datetime
    lsn_start: str
    lsn_stop: str
    wal_start: str
    wal_stop: str
    size_bytes: int
    delta_bytes: int
    repo_size_bytes: int
    repo_delta_bytes: int
    database_id: int
    error: bool
    """Pages whose checksum was wrong."""
    annotations: Mapping[str, str]

    @property
    def timeline(self) -> int:
        """Of its start; a backup does not cross timelines."""
        return int(self.wal_start[:8], 16)

    @property
    def seconds(self) -> float:
        return (self.completed_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Database:
    """One history entry of the stanza: pgBackRest's id, and the cluster behind it."""

    id: int
    system_id: int
    version: str

    @property
    def archive_id(self) -> str:
        """The folder of its WAL below ``archive/<stanza>``."""
        return f"{self.version}-{self.id}"


@dataclass(frozen=True)
class Repository:
    """What ``info`` says of one stanza at one moment; sets in the order they were taken."""

    stanza: str
    exists: bool
    """Whether the stanza was created, as far as backups go."""
    sets: tuple[BackupSet, ...]
    databases: tuple[Database, ...]
    encrypted: bool

    @classmethod
    def parse(cls, stanza: str, info: Mapping[str, Any]) -> Repository:
        """``info`` is one entry of ``info --output=json``."""
        status = info.get("status", {})
        sets = tuple(_set(entry) for entry in info.get("backup", []))
        return cls(
            stanza=stanza,
            exists=bool(info.get("db")) and status.get("code") not in (_NO_PATH, _MISSING_DATA),
            sets=sets,
            databases=tuple(
                Database(int(entry["id"]), int(entry["system-id"]), str(entry["version"]))
                for entry in info.get("db", [])
            ),
            encrypted=info.get("cipher", "none") not in ("none", "mixed"),
        )

    @property
    def current(self) -> Database | None:
        """The cluster that the stanza stands for now."""
        return max(self.databases, key=lambda database: database.id, default=None)

    def set(self, label: str) -> BackupSet | None:
        return self._by_label.get(label)

    @cached_property
    def _by_label(self) -> Mapping[str, BackupSet]:
        return {one.label: one for one in self.sets}

    def of(self, wanted: Kind) -> Sequence[BackupSet]:
        return [one for one in self.sets if one.kind == wanted]

    def has_full(self) -> bool:
        """Whether a diff or incr of the current cluster has a full to build on."""
        current = self.current
        return current is not None and any(one.database_id == current.id for one in self.of("full"))

    def made_by(self, root_run_id: str, requested: Kind) -> BackupSet | None:
        """The set that a run of this root made on this request, by its annotation."""
        for one in reversed(self.sets):
            if (
                one.annotations.get("root_run_id") == root_run_id
                and one.annotations.get("requested_kind") == requested
            ):
                return one
        return None

    def chain(self, label: str) -> tuple[BackupSet, ...]:
        """The sets a restore of ``label`` may read, from its full to itself.

        Raises CheckFailed that names the set which is missing.
        """
        found: list[BackupSet] = []
        wanted: str | None = label
        while wanted is not None:
            one = self.set(wanted)
            if one is None:
                needed_by = f", which {found[-1].label} builds on," if found else ""
                raise CheckFailed(f"set {wanted}{needed_by} is not in the repository: take a full backup")
            if len(found) > len(self.sets):
                raise CheckFailed(f"set {label} builds on itself: take a full backup")
            found.append(one)
            wanted = one.prior
        if found[-1].kind != "full":
            raise CheckFailed(f"set {found[-1].label} builds on nothing and is no full: take a full backup")
        return tuple(reversed(found))


def _set(entry: Mapping[str, Any]) -> BackupSet:
    info, times = entry["info"], entry["timestamp"]
    return BackupSet(
        label=entry["label"],
        kind=parse_kind(entry["type"]),
        prior=entry.get("prior"),
        references=tuple(entry.get("reference") or ()),
        started_at=datetime.fromtimestamp(times["start"], UTC),
        completed_at=datetime.fromtimestamp(times["stop"], UTC),
        lsn_start=entry["lsn"]["start"],
        lsn_stop=entry["lsn"]["stop"],
        wal_start=entry["archive"]["start"],
        wal_stop=entry["archive"]["stop"],
        size_bytes=info["size"],
        delta_bytes=info["delta"],
        repo_size_bytes=info["repository"].get("size", info["repository"]["delta"]),
        repo_delta_bytes=info["repository"]["delta"],
        database_id=int(entry["database"]["id"]),
        error=bool(entry.get("error", False)),
        annotations=dict(entry.get("annotation") or {}),
    )
