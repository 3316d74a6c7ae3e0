"""Verification after a backup: the repository itself must show the set, whole and restorable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ops_platform.backup.proof import FilesLook
from ops_platform.backup.repository import (
    ArchiveReader,
    BackupSet,
    Repository,
    geometry_of,
    needed_segments,
    without_manifest,
)
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.pgbackrest import layout
from ops_platform.errors import CheckFailed

NAMED_SEGMENTS = 5
"""A message names at most this many missing segments."""


@dataclass(frozen=True)
class Verification:
    """A set that was found sound, the chain that it needs (full first), and the number of their segments."""

    backup_set: BackupSet
    chain: tuple[str, ...]
    wal_segments: int
    encrypted: bool

    def as_metadata(self) -> dict[str, Any]:
        """Make plain values for Dagster's run metadata."""
        return {
            "label": self.backup_set.label,
            "chain": " <- ".join(self.chain),
            "wal_segments": self.wal_segments,
            "encrypted": self.encrypted,
        }


def run(ctx: BackupContext, label: str, log: Callable[[str], None]) -> Verification:
    """Check one set and all that it builds on. Raises CheckFailed that names what is missing."""
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    chain = repository.chain(label)
    for backup_set in chain:
        _refuse_damaged(backup_set)
    _refuse_without_manifest(ctx, chain)
    _refuse_missing_files(ctx, label)
    segments = _refuse_missing_wal(ctx, repository, chain)
    log(f"set {label}: {len(chain)} sets in its chain, {segments} WAL segments, all in the repository")
    return Verification(
        chain[-1], tuple(backup_set.label for backup_set in chain), segments, repository.encrypted
    )


def _refuse_damaged(backup_set: BackupSet) -> None:
    if backup_set.error:
        raise CheckFailed(
            f"set {backup_set.label} holds pages whose checksum is wrong: run pg_amcheck on the cluster, "
            "and keep older sets until it is mended"
        )


def _refuse_without_manifest(ctx: BackupContext, chain: Sequence[BackupSet]) -> None:
    unreadable = without_manifest(ctx, chain)
    for backup_set in chain:
        if backup_set.label in unreadable:
            raise CheckFailed(
                f"set {backup_set.label} has no {layout.MANIFEST} in the repository: take a full backup"
            )


def _refuse_missing_files(ctx: BackupContext, label: str) -> None:
    """Check that every file that the set references, in whichever set, is stored with its size."""
    faults = FilesLook.of(ctx).faults_of(label)
    if faults.count:
        raise CheckFailed(
            f"set {label} cannot be restored: {faults.summary}: take a full backup, and find out who "
            "removed or changed files of the repository"
        )


def _refuse_missing_wal(ctx: BackupContext, repository: Repository, chain: Sequence[BackupSet]) -> int:
    """Check that each set has the WAL written while it was taken; it cannot become consistent without.

    Returns the number of segments.
    """
    database = next(
        (database for database in repository.databases if database.id == chain[-1].database_id), None
    )
    if database is None:
        raise CheckFailed(f"set {chain[-1].label} belongs to a cluster that the stanza does not know")
    geometry = geometry_of(chain)
    needed = {
        backup_set.label: [geometry.name(segment) for segment in needed_segments(backup_set, geometry)]
        for backup_set in chain
    }
    folders = sorted({layout.folder_of(name) for names in needed.values() for name in names})
    present = ArchiveReader(ctx.pgbackrest).names(database, folders, geometry)
    for label, names in needed.items():
        missing = [name for name in names if name not in present]
        if missing:
            listed = ", ".join(missing[:NAMED_SEGMENTS]) + (
                " and more" if len(missing) > NAMED_SEGMENTS else ""
            )
            raise CheckFailed(
                f"set {label} cannot be restored: {len(missing)} of its WAL segments are not in the "
                f"repository ({listed}): look at the archiver, then take a full backup"
            )
    return len({name for names in needed.values() for name in names})
