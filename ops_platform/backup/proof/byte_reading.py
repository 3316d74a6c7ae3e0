"""Reading one stored object against its checksums: files of sets, manifests, WAL segments.

Files of sets are read as they are stored, since the manifest knows their SHA-1 as stored; no key is needed.
A segment is decrypted and decompressed: its name holds the SHA-1 of what PostgreSQL wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ops_platform.backup.proof.files_look import parsed, read_manifest
from ops_platform.backup.proof.reading_plan import StoredItem
from ops_platform.clients.decompression import decompress
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.pgbackrest import (
    Layout,
    Manifest,
    PgBackRest,
    SegmentFile,
    StoredFile,
    StoredObject,
    archive_passphrase,
    decrypt,
    layout,
)
from ops_platform.errors import CheckFailed

MISSING = 55
NAMED_FILES = 3
REPLACED = "\N{REPLACEMENT CHARACTER}"
"""What stands in a listing and in a manifest for bytes of a name that are no UTF-8."""


@dataclass(frozen=True)
class Reading:
    """What the bytes of one object are: sound, or what is wrong (``damage``) and in which files of it."""

    damage: str | None = None
    files: tuple[StoredFile, ...] = ()
    proven: bool = True
    """False when it cannot be compared: no sound manifest, no checksum as stored, or no name to ask by."""


SOUND, UNPROVEN = Reading(), Reading(proven=False)


@dataclass
class ByteReader:
    """Reader of one stanza's objects. ``store`` holds the repository below ``prefix``."""

    pgbackrest: PgBackRest
    store: ObjectStore
    prefix: str
    _manifests: dict[str, Manifest] = field(default_factory=dict)
    _archive: tuple[str | None, ...] = field(default=(), repr=False)
    """The passphrase of the segments, once it was read."""

    def read(self, item: StoredItem) -> Reading:
        """Read an object to its end.

        Raises ObjectMissing or PgBackRestError when it is gone, PgBackRestError or ObjectStoreRefused when
        S3 cannot be read, CheckFailed when no index tells the passphrase of the segments.
        """
        if item.kind == "wal":
            return self._segment(item)
        if item.name.removesuffix(layout.COPY) == layout.MANIFEST:
            try:
                read_manifest(self.pgbackrest, item.holder, item.name)
            except CheckFailed as error:
                return Reading(str(error))
            return SOUND
        try:
            stored = self.manifest(item.holder).own.get(item.name)
        except CheckFailed:
            # The manifest is an object of its own, and is found damaged when it is read.
            return UNPROVEN
        return SOUND if stored is None else self._object(stored)

    def manifest(self, label: str) -> Manifest:
        """Read a set's manifest, or its copy. Raises CheckFailed when neither is sound."""
        if label not in self._manifests:
            try:
                read = read_manifest(self.pgbackrest, label)
            except CheckFailed:
                read = read_manifest(self.pgbackrest, label, layout.MANIFEST + layout.COPY)
            # One at a time: that of a cluster with many tables has some hundred thousand files.
            self._manifests = {label: read}
        return self._manifests[label]

    def _segment(self, item: StoredItem) -> Reading:
        name = SegmentFile.parse(item.name)
        if name is None:
            return SOUND
        digest = hashlib.sha1(usedforsecurity=False)
        key = f"{self.prefix}{Layout(self.pgbackrest.stanza).archives}/{item.holder}/{item.name}"
        passphrase = self._passphrase()
        try:
            with self.store.reading(key) as chunks:
                plain = chunks if passphrase is None else decrypt(chunks, passphrase)
                for piece in decompress(plain, name.codec):
                    digest.update(piece)
        except CheckFailed as error:
            return Reading(f"{item.name}: {error}")
        right = digest.hexdigest() == name.checksum
        return SOUND if right else Reading(f"{item.name}: its bytes have another checksum")

    def _passphrase(self) -> str | None:
        """Read the segments' passphrase, once; None where they are not encrypted.

        Raises CheckFailed when neither archive.info nor its copy is sound, PgBackRestError when S3 cannot be
        read.
        """
        if not self._archive:
            index = self.pgbackrest.layout.archive_info
            try:
                read = self._passphrase_in(index)
            except CheckFailed as error:
                # As pgBackRest does: the proof of the segments must not stand still with one of the two.
                try:
                    read = self._passphrase_in(index + layout.COPY)
                except CheckFailed as other:
                    advice = "see docs/runbooks/backups.md#repositoryindexlost"
                    raise CheckFailed(f"no segment can be read: {error}; {other}: {advice}") from None
            self._archive = (read,)
        return self._archive[0]

    def _passphrase_in(self, index: str) -> str | None:
        return parsed(self.pgbackrest, index, archive_passphrase, index)

    def _object(self, stored: StoredObject) -> Reading:
        # A name that is no UTF-8 cannot be asked for over S3's interface; pgBackRest has it as it is.
        if any(file.checksum is None for file in stored.files) or REPLACED in stored.path:
            return UNPROVEN
        key = f"{self.prefix}{Layout(self.pgbackrest.stanza).set(stored.label)}/{stored.path}"
        with self.store.reading(key) as chunks:
            wrong = wrong_files(chunks, stored.files)
        if not wrong:
            return SOUND
        named = ", ".join(file.name for file in wrong[:NAMED_FILES])
        more = f" and {len(wrong) - NAMED_FILES} more" if len(wrong) > NAMED_FILES else ""
        return Reading(f"{stored.label}/{stored.path}: wrong bytes in {named}{more}", tuple(wrong))


def wrong_files(chunks: Iterable[bytes], files: Iterable[StoredFile]) -> list[StoredFile]:
    """Compare a stream with the checksums of the files in it, which follow each other by offset."""
    stream, wrong = _Stream(iter(chunks)), []
    for file in files:
        digest = hashlib.sha1(usedforsecurity=False)
        stream.skip_to(file.offset)
        for piece in stream.take(file.size):
            digest.update(piece)
        if digest.hexdigest() != file.checksum:
            wrong.append(file)
    stream.drain()
    return wrong


class _Stream:
    """Stream of bytes that is taken in parts; what is missing at its end is empty."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._at, self._rest = chunks, 0, memoryview(b"")

    def take(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    return
            piece, self._rest = self._rest[:size], self._rest[size:]
            size, self._at = size - len(piece), self._at + len(piece)
            yield piece

    def skip_to(self, offset: int) -> None:
        for _ in self.take(max(0, offset - self._at)):
            pass

    def drain(self) -> None:
        for _ in self._chunks:
            pass
