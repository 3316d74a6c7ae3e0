"""Look at the stored files of a stanza's sets, with a memory: cheap enough for every five minutes.

One listing, and each manifest once: what lies in the folder of a set never changes, so a verdict stands
for as long as the folders that the set uses are listed as they were then.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson
import psycopg

from ops_platform import files
from ops_platform.backup.proof import read_store
from ops_platform.backup.proof.presence import Faults, Folder, ManifestOf, faults_of
from ops_platform.backup.repository import Repository, StoredFiles
from ops_platform.backup.stanza import BackupContext, pgbackrest_conf
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest import Layout, Manifest, PgBackRest, PgBackRestError, layout
from ops_platform.errors import CheckFailed, OpsError

StoredFile = tuple[str, int, int]
"""Path below the folder of the sets, size in bytes, time of arrival (Unix seconds)."""
Flat = Callable[[str], Iterable[StoredFile]]
"""(after) -> the files of all sets whose paths sort after it ("": all), in their order."""
T = TypeVar("T")

OLDER_FILES_SECONDS = 900.0
"""Age at which the files of the sets before the newest full are listed again: thousands, and none is new."""
_UNREADABLE = (55, 95)
"""Exit codes of repo-get for one file: it is missing, or is no longer what was encrypted."""


@dataclass(frozen=True)
class _Judged:
    """The verdict on one set, and what it was reached from: label of a folder -> digest of its listing."""

    folders: Mapping[str, str]
    faults: Faults

    def is_of(self, digests: Mapping[str, str]) -> bool:
        """Tell whether the folders were listed then as ``digests`` (by label) say."""
        return all(digests.get(used, "") == then for used, then in self.folders.items())


@dataclass(frozen=True)
class _Older:
    """What was listed of the sets before the full called ``before``: label -> digest; and when (Unix)."""

    before: str
    at: float
    digests: Mapping[str, str]


@dataclass
class FilesLook:
    """Looker at the files of one stanza's sets; keeps its verdicts in the file ``memory``.

    A memory that is lost or cannot be written costs time, nothing else.
    """

    pgbackrest: PgBackRest
    memory: Path | None = None
    repository: str = ""
    """What the memory is of: another repository may have sets of the same labels."""
    flat: Flat | None = None
    """Lists a thousand files a request; without it pgBackRest lists, a folder a request."""
    shares: bool = False
    """It keeps in the memory, too, what it listed of older sets: others then need not list that again."""
    clock: Callable[[], float] = time.time
    _judged: dict[str, _Judged] = field(default_factory=dict)
    _older: _Older | None = None
    _shared: _Older | None = None
    """What the memory has of older sets."""

    @classmethod
    def of(cls, ctx: BackupContext, *, shares: bool = False) -> FilesLook:
        """Make one whose memory lies in the state directory, the same for every configuration."""
        memory = pgbackrest_conf.production_paths(ctx.settings).config_file.with_name(
            f"files-of-{ctx.stanza.name}.json"
        )
        stored = StoredFiles.of_live(ctx)
        flat = None if stored is None else functools.partial(stored.of_sets, ctx.pgbackrest.layout)
        return cls(ctx.pgbackrest, memory, ctx.repository_uri(""), flat, shares)

    def damaged(self, labels: Iterable[str], *, older_age: float = 0.0) -> dict[str, Faults]:
        """Find the sets that lack files: label -> faults. Raises an OpsError when S3 cannot be read.

        What is stored of the sets before the newest full may be known from a listing of ``older_age`` seconds
        ago, of this one or of one that ``shares`` it: no newer set uses it.
        """
        labels = list(labels)
        remembered = self._judged or self._recall()
        shared = self._shared
        newest_full = max((label for label in labels if layout.is_full(label)), default="")
        older = self._older
        if older is not None and not (
            self.flat is not None
            and older.before == newest_full
            and 0 <= self.clock() - older.at < older_age
            # A verdict of another listing would be judged anew, by files that are not listed now.
            and all(
                label in remembered and remembered[label].is_of(older.digests)
                for label in labels
                if label < newest_full
            )
        ):
            older = None
        folders = self._list_all(newest_full if older is not None else "")
        digests = {label: _digest(folder) for label, folder in folders.items()}
        if older is None:
            listed = {label: digest for label, digest in digests.items() if label < newest_full}
            older = self._older = _Older(newest_full, self.clock(), listed)
            self._shared = older if self.shares else self._shared
        digests = {**older.digests, **digests}
        judged: dict[str, _Judged] = {}
        references: dict[str, Manifest | str] = {}

        def manifest_of(label: str) -> Manifest | str:
            if label not in references:
                references[label] = self._manifest(label, folders.get(label, {}))
            return references[label]

        for label in labels:
            known = remembered.get(label)
            if known is None or not known.is_of(digests):
                known = self._judge(label, folders, digests, manifest_of)
            judged[label] = known
        self._judged = judged
        if judged != remembered or self._shared is not shared:
            self._remember()
        return {label: verdict.faults for label, verdict in judged.items() if verdict.faults.count}

    def faults_of(self, label: str) -> Faults:
        """Look at one set alone: its manifest, and the folders of the sets that it references.

        Raises PgBackRestError when S3 cannot be read.
        """
        # A chain's labels begin with that of its full: all of it is listed in one go.
        chain = {} if self.flat is None else self._list_all(layout.full_of(label))
        folders = {label: self._list(label) if self.flat is None else chain.get(label, {})}
        manifest = self._manifest(label, folders[label])
        if isinstance(manifest, Manifest):
            folders |= {
                used: chain[used] if used in chain else self._list(used) for used in manifest.references
            }
        return faults_of(manifest, folders, lambda used: self._manifest(used, folders.get(used, {})))

    def _judge(
        self,
        label: str,
        folders: Mapping[str, Folder],
        digests: Mapping[str, str],
        manifest_of: ManifestOf,
    ) -> _Judged:
        manifest = self._manifest(label, folders.get(label, {}))
        used = (label, *(manifest.references if isinstance(manifest, Manifest) else ()))
        faults = faults_of(manifest, folders, manifest_of)
        return _Judged({other: digests.get(other, "") for other in used}, faults)

    def _manifest(self, label: str, folder: Folder) -> Manifest | str:
        """Read a set's manifest or, as pgBackRest does, its copy when that fails."""
        problem = f"{label}/{layout.MANIFEST} is missing"
        for name in (layout.MANIFEST, layout.MANIFEST + layout.COPY):
            if name not in folder:
                continue
            try:
                manifest = read_manifest(self.pgbackrest, label, name)
            except CheckFailed as error:
                problem = str(error)
            else:
                return manifest
        return problem

    def _list_all(self, since: str = "") -> dict[str, Folder]:
        """List the folders of the sets whose labels do not sort before ``since``."""
        folders: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        after = layout.before(since) if since else ""
        for path, size, at in self._by_pgbackrest() if self.flat is None else self.flat(after):
            label, _, inside = path.partition("/")
            if inside and layout.is_label(label) and label >= since:
                folders[label][inside] = (size, at)
        return dict(folders)

    def _by_pgbackrest(self) -> Iterator[StoredFile]:
        paths = self.pgbackrest.repo_ls(Layout(self.pgbackrest.stanza).sets, recurse=True)
        for path, entry in paths.items():
            if entry.is_file:
                yield path, entry.size, entry.time

    def _list(self, label: str) -> Folder:
        paths = self.pgbackrest.repo_ls(Layout(self.pgbackrest.stanza).set(label), recurse=True)
        return {path: (entry.size, entry.time) for path, entry in paths.items() if entry.is_file}

    def _recall(self) -> dict[str, _Judged]:
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            if self.memory is not None:
                remembered = orjson.loads(self.memory.read_bytes())
                judged = {
                    label: _Judged(known["folders"], Faults(tuple(known["faults"]), int(known["count"])))
                    for label, known in remembered.get(self.repository, {}).items()
                }
                if (older := remembered.get(self._older_key)) is not None:
                    self._shared = _Older(str(older["before"]), float(older["at"]), dict(older["digests"]))
                    self._older = self._older or self._shared
                return judged
        return {}

    @property
    def _older_key(self) -> str:
        return f"older sets of {self.repository}"

    def _remember(self) -> None:
        if self.memory is None:
            return
        remembered = {
            label: {"folders": judged.folders, "faults": judged.faults.named, "count": judged.faults.count}
            for label, judged in self._judged.items()
        }
        whole: dict[str, object] = {self.repository: remembered}
        if (older := self._shared) is not None:
            whole[self._older_key] = {"before": older.before, "at": older.at, "digests": older.digests}
        text = orjson.dumps(whole).decode()
        with suppress(OSError):
            files.write_atomically(self.memory, text)


def damage_of_sets(ctx: BackupContext, repository: Repository, older_age: float = 0.0) -> dict[str, str]:
    """Find the sets that lack files or hold wrong bytes: label -> what is wrong. Raises PgBackRestError.

    What was read and found wrong is known to the ops database; while that is away, what is missing is known.
    ``older_age``: see ``FilesLook.damaged``.
    """
    if not repository.sets:
        return {}
    damaged: dict[str, str] = {}
    with (
        suppress(OpsError, psycopg.Error),
        postgres.session(ctx.ops_url, application="ops-platform look") as connection,
    ):
        damaged |= read_store.damaged_sets(connection, ctx.stanza.name)
    labels = (backup_set.label for backup_set in repository.sets)
    faults = FilesLook.of(ctx).damaged(labels, older_age=older_age)
    return {**damaged, **{label: found.summary for label, found in faults.items()}}


def damage_of_segments(ctx: BackupContext) -> dict[str, dict[str, str]]:
    """Find the segments that were read and found wrong, as in ``read_store.damaged_segments``.

    None is known while the ops database is away.
    """
    with (
        suppress(OpsError, psycopg.Error),
        postgres.session(ctx.ops_url, application="ops-platform look") as connection,
    ):
        return read_store.damaged_segments(connection, ctx.stanza.name)
    return {}


def parsed(pgbackrest: PgBackRest, path: str, parse: Callable[[str], T], where: str) -> T:
    """Read a file of the repository's own, called ``where``, with ``parse``, which may raise CheckFailed.

    Raises CheckFailed when it is missing or damaged, PgBackRestError when S3 cannot be read.
    """
    try:
        return parse(pgbackrest.repo_get(path))
    except PgBackRestError as error:
        if error.code not in _UNREADABLE:
            raise
        raise CheckFailed(f"{where} is missing or cannot be decrypted") from None
    except CheckFailed as error:
        raise CheckFailed(f"{where}: {error}") from None


def read_manifest(pgbackrest: PgBackRest, label: str, name: str = layout.MANIFEST) -> Manifest:
    """Read one manifest of a set.

    Raises CheckFailed when it is missing, damaged or another set's, PgBackRestError when S3 cannot be read.
    """
    where = f"{label}/{name}"
    path = f"{Layout(pgbackrest.stanza).set(label)}/{name}"
    manifest = parsed(pgbackrest, path, Manifest.parse, where)
    if manifest.label != label:
        raise CheckFailed(f"{where} is that of set {manifest.label}")
    return manifest


def _digest(folder: Folder) -> str:
    return hashlib.sha256(orjson.dumps(sorted(folder.items()))).hexdigest()
