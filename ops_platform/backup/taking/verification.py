"""After a backup: is the set there, whole, and restorable? Asks the repository, believes nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ops_platform.backup.repository import ArchiveReader, BackupSet, Repository, geometry_of, needed_segments
from ops_platform.backup.stanza import BackupContext
from ops_platform.errors import CheckFailed

NAMED = 5
"""How many missing segments a message names."""
MANIFEST = "backup.manifest"


@dataclass(frozen=True)
class Verification:
    """What was found sound: a set, the chain it needs, and their WAL."""

    backup_set: BackupSet
    chain: tuple[str, ...]
    wal_segments: int
    encrypted: bool

    def as_metadata(self) -> dict[str, Any]:
        return {
            "label": self.backup_set.label,
            "chain": " <- ".join(self.chain),
            "wal_segments": self.wal_segments,
            "encrypted": self.encrypted,
        }


def run(ctx: BackupContext, label: str, log: Callable[[str], None]) -> Verification:
    """Check one set and all it builds on. Raises CheckFailed that names what is missing."""
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    chain = repository.chain(label)
    for one in chain:
        _refuse_damaged(one)
        _refuse_without_manifest(ctx, one)
    segments = _refuse_missing_wal(ctx, repository, chain)
    log(f"set {label}: {len(chain)} sets in its chain, {segments} WAL segments, all in the repository")
    return Verification(chain[-1], tuple(one.label for one in chain), segments, repository.encrypted)


def _refuse_damaged(one: BackupSet) -> None:
    if one.error:
        raise CheckFailed(
            f"set {one.label} holds pages whose checksum is wrong: run pg_amcheck on the cluster, "
            "and keep older sets until it is mended"
        )


def _refuse_without_manifest(ctx: BackupContext, one: BackupSet) -> None:
    files = ctx.pgbackrest.repo_ls(f"backup/{ctx.stanza.name}/{one.label}")
    if MANIFEST not in files:
        raise CheckFailed(f"set {one.label} has no {MANIFEST} in the repository: take a full backup")


def _refuse_missing_wal(ctx: BackupContext, repository: Repository, chain: Sequence[BackupSet]) -> int:
    """Each set needs the WAL written while it was taken, or it cannot become consistent."""
    database = next((one for one in repository.databases if one.id == chain[-1].database_id), None)
    if database is None:
        raise CheckFailed(f"set {chain[-1].label} belongs to a cluster that the stanza does not know")
    geometry = geometry_of(chain)
    needed = {
        one.label: [geometry.name(segment) for segment in needed_segments(one, geometry)] for one in chain
    }
    folders = sorted({name[:16] for names in needed.values() for name in names})
    present = ArchiveReader(ctx.pgbackrest).names(database, folders)
    for label, names in needed.items():
        missing = [name for name in names if name not in present]
        if missing:
            named = ", ".join(missing[:NAMED]) + (" and more" if len(missing) > NAMED else "")
            raise CheckFailed(
                f"set {label} cannot be restored: {len(missing)} of its WAL segments are not in the "
                f"repository ({named}): look at the archiver, then take a full backup"
            )
    return len({name for names in needed.values() for name in names})
