"""One run of the rolling verification: takes an inventory, then reads what is due, within its bounds.

What a run read is kept, object by object; one that is killed or runs out of time is continued by the next.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops_platform.backup.proof import read_store, verify_output
from ops_platform.backup.proof.byte_reading import MISSING, SOUND, UNPROVEN, ByteReader, Reading
from ops_platform.backup.proof.files_look import read_manifest
from ops_platform.backup.proof.reading_plan import Budget, Pace, StoredItem, period
from ops_platform.backup.repository import ListedFile, Repository, StoredFiles
from ops_platform.backup.stanza import BackupContext, locks, pgbackrest_conf
from ops_platform.clients import object_store, postgres
from ops_platform.clients.object_store import ObjectMissing
from ops_platform.clients.pgbackrest import Layout, PgBackRestError, SegmentFile, abilities, layout
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, Unavailable

LOCK_SECONDS = 60.0
NAMED_DAMAGES = 3
_SAID_EVERY = 60.0
_LEFT_BEHIND_SECONDS = 7 * 86400.0
"""Longer than any run may take."""


@dataclass
class RunResult:
    """What one run did: objects and bytes read, and what stays to be read; what is damaged now."""

    objects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    complete: bool = True
    """False when the bounds ended the run before all that is due was read."""
    damage: tuple[str, ...] = ()
    """What is wrong now and not made up for by a newer full, also what an earlier run found."""

    def as_metadata(self) -> dict[str, Any]:
        """Make plain values for Dagster's run metadata."""
        return {
            "objects_read": self.objects,
            "bytes_read": self.bytes,
            "seconds": round(self.seconds, 1),
            "complete": self.complete,
            "damaged": list(self.damage),
        }

    def require_sound(self, stanza: str) -> None:
        """Raise CheckFailed that names what is damaged."""
        if self.damage:
            more = len(self.damage) - NAMED_DAMAGES
            listed = "; ".join(self.damage[:NAMED_DAMAGES]) + (f"; and {more} more" if more > 0 else "")
            raise CheckFailed(
                f"the repository of stanza {stanza} holds damaged objects: {listed}: put sound versions of "
                "them back, or take a full backup"
            )


@contextmanager
def opened_reader(ctx: BackupContext) -> Iterator[BackupContext]:
    """Open the stanza with the identity that can only read, by a file of its own. Raises ConfigurationError.

    Another run may have other settings, such as a newer key: neither may change what the other one reads by,
    nor leave its keys behind.
    """
    if ctx.served is None:
        yield ctx  # the configuration is the operator's own
        return
    text = pgbackrest_conf.render(
        ctx.settings, ctx.config, ctx.paths, role="backup_reader", stanzas=[ctx.stanza]
    )
    beside = ctx.paths.config_file.parent
    _remove_leftovers(beside, ctx.stanza.name)
    own = beside / f"verify-{ctx.stanza.name}-{secrets.token_hex(6)}.conf"
    pgbackrest_conf.write(own, text, ctx.settings.run_as)
    try:
        yield replace(ctx, pgbackrest=replace(ctx.pgbackrest, config_file=own))
    finally:
        own.unlink(missing_ok=True)


def _remove_leftovers(directory: Path, stanza: str) -> None:
    """Remove the files of killed runs, and the one that all runs once shared."""
    ours = re.compile(rf"verify-{re.escape(stanza)}(-[0-9a-f]{{12}})?\.conf")
    for path in directory.glob("verify-*.conf"):
        with suppress(OSError):
            if ours.fullmatch(path.name) and time.time() - path.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                path.unlink()


def run(ctx: BackupContext, log: Callable[[str], None], pace: Pace | None = None) -> RunResult:
    """Read what is due, as far as the stanza's bounds allow; at the retention's pace, if no other is given.

    Damage does not end the run; it is in the result. Raises Unavailable when another run reads, and what
    pgBackRest and S3 raise when the repository cannot be read.
    """
    stanza = ctx.stanza
    budget = Budget(stanza.verification_seconds, stanza.verification_bytes)
    with (
        locks.held(ctx.ops_url, f"verification/{stanza.name}", LOCK_SECONDS, log),
        postgres.session(ctx.ops_url, application="ops-platform verify", autocommit=True) as connection,
        opened_reader(ctx) as reader,
    ):
        repository = Repository.parse(stanza.name, reader.pgbackrest.info())
        pace = pace or Pace(period(timedelta(days=stanza.retention_days)))
        work = _Run(reader, connection, repository, pace)
        read_store.register(connection, stanza.name, list(work.inventory()), pace.counts_for)
        return work.read(budget, log)


@dataclass
class _Run:
    """State of one run."""

    ctx: BackupContext
    connection: Connection
    repository: Repository
    pace: Pace

    def __post_init__(self) -> None:
        store, prefix = (
            object_store.from_settings(self.ctx.settings, "backup_reader"),
            self.ctx.config.repository.key_prefix,
        )
        self._reader = ByteReader(self.ctx.pgbackrest, store, prefix)
        # With the identity that can only read, a thousand files a request.
        self._stored = None if self.ctx.served is None else StoredFiles(store, prefix)
        self._verified: dict[str, bool | None] = {}

    def inventory(self) -> Iterator[StoredItem]:
        """List all that is stored of the sets that ``info`` knows, and all segments."""
        labels = {found.label for found in self.repository.sets}
        for path, size, at in self._list_sets():
            label, _, inside = path.partition("/")
            if inside and label in labels:
                yield self._item("set", label, inside, size, at)
        for path, size, at in self._list_archives():
            folder, _, name = path.rpartition("/")
            if SegmentFile.parse(name) is not None:
                yield self._item("wal", folder, name, size, at)

    def _list_sets(self) -> Iterator[ListedFile]:
        here, stored = Layout(self.ctx.stanza.cluster), self._stored
        return self._by_pgbackrest(here.sets) if stored is None else stored.of_sets(here)

    def _list_archives(self) -> Iterator[ListedFile]:
        folder, stored = Layout(self.ctx.stanza.cluster).archives, self._stored
        return self._by_pgbackrest(folder) if stored is None else stored.listing(folder)

    def _by_pgbackrest(self, folder: str) -> Iterator[ListedFile]:
        """List a repository of which only pgBackRest knows where it is, a folder a request."""
        for path, entry in self.ctx.pgbackrest.repo_ls(folder, recurse=True).items():
            if entry.is_file:
                yield path, entry.size, entry.time

    def _item(self, kind: str, holder: str, name: str, size: int, at: int) -> StoredItem:
        stored_at = self.pace.of(datetime.fromtimestamp(at, UTC))
        return StoredItem(kind, holder, name, size, stored_at, stored_at + self.pace.counts_for)

    def read(self, budget: Budget, log: Callable[[str], None]) -> RunResult:
        """Read item after item until nothing is due or the budget is spent."""
        result, began, said = RunResult(), time.monotonic(), time.monotonic()
        pace, stanza = self.pace, self.ctx.stanza.name
        for item in read_store.to_read(self.connection, stanza, pace.now(), pace.ahead):
            result.seconds = time.monotonic() - began
            if not budget.allows(result.seconds, result.bytes, item.size):
                result.complete = False
                break
            self._read(item, budget.seconds - result.seconds, log)
            result.objects, result.bytes = result.objects + 1, result.bytes + item.size
            if time.monotonic() - said > _SAID_EVERY:
                said = time.monotonic()
                log(f"read {result.objects} objects, {result.bytes / 1e6:.0f} MB")
        result.seconds = time.monotonic() - began
        result.damage = tuple(read_store.unrepaired(self.connection, self.repository))
        left = "all that was due" if result.complete else "the rest is left to the next run"
        log(f"read {result.objects} objects, {result.bytes / 1e6:.0f} MB in {result.seconds:.0f} s: {left}")
        return result

    def _read(self, item: StoredItem, seconds: float, log: Callable[[str], None]) -> None:
        stanza, at = self.ctx.stanza.name, self.pace.now()
        try:
            reading = self._reader.read(item)
        except ObjectMissing:
            return  # it expired, or a look at the files of the sets says that it is missing
        except PgBackRestError as error:
            if error.code != MISSING:
                raise
            return
        if not reading.proven:
            reading = self._verified_by_pgbackrest(item, max(1.0, seconds), log)
        if reading.damage is not None:
            log(f"WARNING: {reading.damage}")
            sets = self._sets_with(item, reading)
            read_store.found_damaged(self.connection, stanza, item, reading.damage, sets)
        elif reading.proven:
            read_store.found_sound(self.connection, stanza, item, at, self.pace.counts_for)

    def _verified_by_pgbackrest(
        self, item: StoredItem, seconds: float, log: Callable[[str], None]
    ) -> Reading:
        """Let pgBackRest's verify read a set of which we cannot read a file.

        Its manifest, of before 2.45, has no checksums as stored, or the file's name is no UTF-8.
        """
        if item.holder not in self._verified:
            of_one = self.ctx.pgbackrest.version() >= abilities.VERIFY_ONE_SET
            log(f"pgBackRest verifies set {item.holder}" + ("" if of_one else " and all others"))
            try:
                lines = self.ctx.pgbackrest.verify(item.holder if of_one else None, timeout=seconds)
            except Unavailable as error:
                log(f"WARNING: {error}: set {item.holder} stays unread")
                lines = []
            self._verified |= {item.holder: None, **verify_output.valid_sets(lines)}
        match self._verified[item.holder]:
            case True:
                return SOUND
            case False:
                return Reading(f"{item.holder}: pgBackRest's verify does not call it valid")
            case None:
                return UNPROVEN

    def _sets_with(self, item: StoredItem, reading: Reading) -> Iterable[str]:
        """Name the sets that cannot be restored with this damage."""
        if item.kind == "wal":
            archive_id = item.holder.partition("/")[0]
            needing = self.repository.taken_across(archive_id, layout.segment_of(item.name))
            yield from (backup_set.label for backup_set in needing)
            return
        if item.name.removesuffix(layout.COPY) == layout.MANIFEST:
            try:
                self._reader.manifest(item.holder)
            except CheckFailed:
                yield item.holder
            return
        wrong = {file.offset for file in reading.files}
        for backup_set in self.repository.sets:
            if item.holder not in (backup_set.label, *backup_set.references):
                continue
            try:
                manifest = read_manifest(self.ctx.pgbackrest, backup_set.label)
            except CheckFailed:
                continue
            used = manifest.objects.get(item.holder, {}).get(item.name)
            if used is None:
                if manifest.has_blocks:
                    yield backup_set.label
            elif not wrong or manifest.has_blocks or any(file.offset in wrong for file in used.files):
                yield backup_set.label
