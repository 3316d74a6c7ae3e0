"""Repair of a repository's index: lost or broken files are put back from their twins, or from kept versions.

It asks nothing of Dagster or the ops database, never writes over a good file, and decrypts nothing that it
copies. Whether a file is good is for pgBackRest to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.repository.index_files import IndexPair, is_readable, look
from ops_platform.backup.repository.kept_index import KeptIndex
from ops_platform.backup.repository.stored_files import StoredFiles
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.pgbackrest import layout
from ops_platform.errors import CheckFailed
from ops_platform.settings import named_for

TRIAL = "trial."
"""Begins the name on which a kept version is tried."""


@dataclass(frozen=True)
class Step:
    """One file to be put back: its path, what is wrong with it, and where its bytes come from."""

    path: str
    fault: str
    source: str


def repair(ctx: BackupContext, *, dry_run: bool, log: Callable[[str], None]) -> list[Step]:
    """Put back what is lost or broken and return it; with ``dry_run`` only tell.

    Raises CheckFailed when there is nothing to put a file back from, or when no kept version can be read:
    then the files are as they were before. Raises the store's errors and PgBackRestError.
    """
    stored = StoredFiles.open(ctx)
    done: list[Step] = []
    for pair in look(ctx):
        for step in _mended(ctx, stored, pair, dry_run):
            log(f"{step.path} is {step.fault}: {'would be ' if dry_run else ''}put back from {step.source}")
            done.append(step)
    if dry_run and any(step.source != "its twin" for step in done):
        return done  # without its index, pgBackRest cannot say which sets there are
    for step in _manifests(ctx, stored, dry_run):
        log(f"{step.path} is {step.fault}: {'would be ' if dry_run else ''}put back from {step.source}")
        done.append(step)
    return done


def _mended(ctx: BackupContext, stored: StoredFiles, pair: IndexPair, dry_run: bool) -> Iterator[Step]:
    if not pair.bad:
        return
    if pair.good is not None:
        for file in pair.bad:
            if not dry_run:
                stored.put(file.path, pair.good)
            yield Step(file.path, file.state, "its twin")
        return
    if not KeptIndex.is_configured(ctx.settings):
        raise CheckFailed(
            f"{pair.name} and its copy are gone, and no ledger's bucket is configured: set "
            "OPS_S3_LEDGER_BUCKET and its identity"
        )
    yield from _from_kept(ctx, stored, pair, dry_run)


def _from_kept(ctx: BackupContext, stored: StoredFiles, pair: IndexPair, dry_run: bool) -> Iterator[Step]:
    kept = KeptIndex.open(ctx.settings, ctx.stanza.name)
    versions = kept.versions(pair.name)
    if not versions:
        raise CheckFailed(
            f"{pair.name} and its copy are gone, and {kept.ledger.uri()} keeps no version of them: look for "
            "versions of the object in the repository's own bucket"
        )
    first, copy = pair.files
    passphrase = named_for(ctx.stanza.repository, "OPS_PGBACKREST_CIPHER_PASS[_FILE]")
    for version in versions:
        source = f"the version kept at {version.kept_at:%Y-%m-%d %H:%M:%S} UTC"
        body = None if dry_run else kept.read(version)
        if body is not None and any(body == file.body for file in pair.files):
            raise CheckFailed(
                f"{pair.name} is as it was kept at {version.kept_at:%Y-%m-%d %H:%M:%S} UTC, and cannot be "
                f"decrypted: correct {passphrase}"
            )
        if body is not None:
            if not _is_good(ctx, stored, first.path, body):
                continue
            stored.put(first.path, body)
            stored.put(copy.path, body)
        yield Step(first.path, first.state, source)
        yield Step(copy.path, copy.state, source)
        return
    raise CheckFailed(
        f"none of the {len(versions)} kept versions of {pair.name} can be read: correct {passphrase}, the "
        "files are as they were"
    )


def _is_good(ctx: BackupContext, stored: StoredFiles, path: str, body: bytes) -> bool:
    """Tell whether pgBackRest can read these bytes, on a path of their own: what cannot be read may be good.

    With a wrong passphrase nothing can be read, also not an index that is newer than every kept version.
    """
    folder, _, name = path.rpartition("/")
    # pgBackRest chooses the key by the path's end.
    trial = f"{folder}/{TRIAL}{name}"
    stored.put(trial, body)
    try:
        return is_readable(ctx, trial)
    finally:
        stored.delete(trial)


def _manifests(ctx: BackupContext, stored: StoredFiles, dry_run: bool) -> Iterator[Step]:
    """Put manifests back from their copies: pgBackRest strikes a set without one off its index."""
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    paths = [ctx.pgbackrest.layout.manifest(backup_set.label) for backup_set in repository.sets]
    for path in stored.absent(paths):
        body = stored.get(path + layout.COPY)
        if body is None:
            continue
        if not dry_run:
            stored.put(path, body)
        yield Step(path, "lost", "its copy")
