"""Backup sets and their chains, as pgBackRest's ``info`` lists them.

Whether their WAL is there is checked in ``wal_archive`` and ``taking.verification``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from ops_platform.backup.stanza import Kind, parse_kind
from ops_platform.backup.wal import Lineage, parse_lsn
from ops_platform.clients.pgbackrest import BackupEntry, StanzaInfo, layout
from ops_platform.errors import CheckFailed


@dataclass(frozen=True)
class BackupSet:
    """One backup set. Times are pgBackRest's own, sizes are bytes, LSNs as PostgreSQL writes them.

    ``size_bytes`` is the whole cluster's, ``delta_bytes`` what this set copied of it;
    ``repo_*`` are the same as stored, compressed and encrypted.
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
    """True when the set holds pages with a wrong checksum."""
    annotations: Mapping[str, str]
    damage: str | None = None
    """What is wrong with its stored files, as ``backup.proof`` found; None when nothing is known to be."""

    @property
    def timeline(self) -> int:
        """The timeline on which the set was started; a backup does not cross timelines."""
        return int(self.wal_start[:8], 16)

    def lives(self, lineage: Lineage) -> bool:
        """Tell whether the set lies on the living timeline's way, and not on what a restore left behind."""
        return not lineage.is_abandoned(self.timeline, self.stop_position)

    @property
    def stop_position(self) -> int:
        """``lsn_stop`` in bytes since the beginning of the WAL: a restore is consistent from there on."""
        return parse_lsn(self.lsn_stop)

    @property
    def seconds(self) -> float:
        """Time that taking the set took."""
        return (self.completed_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Database:
    """One history entry of the stanza: pgBackRest's id, and the cluster behind it."""

    id: int
    system_id: int
    version: str

    @property
    def archive_id(self) -> str:
        """The name of its folder of WAL in the repository."""
        return layout.archive_id(self.version, self.id)


@dataclass(frozen=True)
class Repository:
    """Answer of ``info`` about one stanza at one moment; sets in the order they were taken."""

    stanza: str
    exists: bool
    """True when the stanza was created there and can hold backups."""
    sets: tuple[BackupSet, ...]
    databases: tuple[Database, ...]
    encrypted: bool
    offline: tuple[str, ...] = ()
    """Labels of sets taken by hand of a stopped server; no WAL leads on from them, they count for nothing."""

    @classmethod
    def parse(cls, stanza: str, info: StanzaInfo) -> Repository:
        """Make one of what ``info`` says."""
        sets = [_set(entry) for entry in info.sets]
        return cls(
            stanza=stanza,
            exists=info.exists,
            sets=tuple(backup_set for backup_set in sets if backup_set is not None),
            databases=tuple(Database(entry.id, entry.system_id, entry.version) for entry in info.databases),
            encrypted=info.is_encrypted,
            offline=tuple(entry.label for entry, taken in zip(info.sets, sets, strict=True) if taken is None),
        )

    @property
    def current(self) -> Database | None:
        """The cluster that the stanza stands for now."""
        return max(self.databases, key=lambda database: database.id, default=None)

    def with_damage(self, damage: Mapping[str, str]) -> Repository:
        """Return the same, with the sets of ``damage`` (label -> what is wrong) marked."""
        if not damage:
            return self
        sets = tuple(
            replace(backup_set, damage=damage.get(backup_set.label, backup_set.damage))
            for backup_set in self.sets
        )
        return replace(self, sets=sets)

    def unrepaired(self) -> list[BackupSet]:
        """List the current cluster's sets with damaged files that no newer, whole full makes up for."""
        current = self.current
        sets = [
            backup_set
            for backup_set in self.sets
            if current is not None and backup_set.database_id == current.id
        ]
        fulls = [
            number
            for number, backup_set in enumerate(sets)
            if backup_set.kind == "full" and backup_set.damage is None
        ]
        since = fulls[-1] if fulls else 0
        return [backup_set for backup_set in sets[since:] if backup_set.damage is not None]

    def version_of(self, backup_set: BackupSet) -> str | None:
        """Return the major version of PostgreSQL of the set's cluster; None when the list does not say."""
        by_id = {database.id: database.version for database in self.databases}
        return by_id.get(backup_set.database_id)

    def set(self, label: str) -> BackupSet | None:
        """Find the set called ``label``; None when the repository does not list it."""
        return self._by_label.get(label)

    @cached_property
    def _by_label(self) -> Mapping[str, BackupSet]:
        return {backup_set.label: backup_set for backup_set in self.sets}

    def of_kind(self, kind: Kind) -> Sequence[BackupSet]:
        """List the sets of one kind, in the order they were taken."""
        return [backup_set for backup_set in self.sets if backup_set.kind == kind]

    def dependents(self, labels: Collection[str]) -> frozenset[str]:
        """Name the sets among ``labels``, and those that build on one of them, directly or not."""
        gone = set(labels)
        for backup_set in self.sets:  # in the order they were taken: a prior comes before what builds on it
            if backup_set.prior in gone or not gone.isdisjoint(backup_set.references):
                gone.add(backup_set.label)
        return frozenset(backup_set.label for backup_set in self.sets if backup_set.label in gone)

    def without(self, labels: Collection[str]) -> Repository:
        """Return the repository as it is for a restore when the sets called ``labels`` cannot be read."""
        gone = self.dependents(labels)
        return replace(self, sets=tuple(kept for kept in self.sets if kept.label not in gone))

    def taken_across(self, archive_id: str, segment: str) -> list[BackupSet]:
        """List the sets of the cluster behind ``archive_id`` that need ``segment`` to become consistent.

        Clusters that the stanza stood for in turn have segments of the same names.
        """
        ids = {database.id for database in self.databases if database.archive_id == archive_id}
        return [
            backup_set
            for backup_set in self.sets
            if backup_set.database_id in ids and backup_set.wal_start <= segment <= backup_set.wal_stop
        ]

    def has_full(self) -> bool:
        """Tell whether a diff or incr of the current cluster has a full to build on."""
        current = self.current
        return current is not None and any(
            backup_set.database_id == current.id for backup_set in self.of_kind("full")
        )

    def made_by(self, root_run_id: str, requested: Kind) -> BackupSet | None:
        """Find the set that a run of this root made for this request, by its annotation; None without one."""
        for backup_set in reversed(self.sets):
            if (
                backup_set.annotations.get("root_run_id") == root_run_id
                and backup_set.annotations.get("requested_kind") == requested
            ):
                return backup_set
        return None

    def chain(self, label: str) -> tuple[BackupSet, ...]:
        """List the sets that a restore of ``label`` may read, from its full to itself.

        Raises CheckFailed that names the missing set.
        """
        chain: list[BackupSet] = []
        wanted: str | None = label
        while wanted is not None:
            backup_set = self.set(wanted)
            if backup_set is None:
                needed_by = f", which {chain[-1].label} builds on," if chain else ""
                if wanted in self.offline:
                    raise CheckFailed(
                        f"set {wanted}{needed_by} was taken of a stopped server: take a full backup"
                    )
                raise CheckFailed(f"set {wanted}{needed_by} is not in the repository: take a full backup")
            if len(chain) > len(self.sets):
                raise CheckFailed(f"set {label} builds on itself: take a full backup")
            chain.append(backup_set)
            wanted = backup_set.prior
        if chain[-1].kind != "full":
            raise CheckFailed(f"set {chain[-1].label} builds on nothing and is no full: take a full backup")
        return tuple(reversed(chain))


def _set(entry: BackupEntry) -> BackupSet | None:
    """Make a set of its entry; None for one that was taken of a stopped server."""
    wal, lsn = (entry.wal_start, entry.wal_stop), (entry.lsn_start, entry.lsn_stop)
    if wal[0] is None or wal[1] is None or lsn[0] is None or lsn[1] is None:
        return None
    return BackupSet(
        label=entry.label,
        kind=parse_kind(entry.type),
        prior=entry.prior,
        references=entry.references,
        started_at=entry.started_at,
        completed_at=entry.completed_at,
        lsn_start=lsn[0],
        lsn_stop=lsn[1],
        wal_start=wal[0],
        wal_stop=wal[1],
        size_bytes=entry.size,
        delta_bytes=entry.delta,
        repo_size_bytes=entry.repo_size,
        repo_delta_bytes=entry.repo_delta,
        database_id=entry.database_id,
        error=entry.error,
        annotations=entry.annotations,
    )
