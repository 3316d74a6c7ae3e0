"""A ZIP archive written as a stream, with size and SHA-256 of each file. It knows no subjects."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol, cast

from isal import isal_zlib

LARGE = 1 << 31
"""Bytes from which an entry needs ZIP64, by Python's zipfile."""
LEVEL = 1
"""Level of deflate: higher ones save little of JSON, and take longer than the database takes to send it."""
LONGEST_NAME = 150
"""Bytes of a name within a path."""
LONGEST_ENDING = 10
"""Characters of a file name extension that is kept when the name is shortened."""


class Sink(Protocol):
    """The destination of an archive; it is written once, never read and never repositioned."""

    def write(self, data: bytes, /) -> Any:
        """Append ``data``."""


@dataclass(frozen=True)
class Entry:
    """One file of an archive; ``sha256`` in hex."""

    path: str
    bytes: int
    sha256: str


class Writer:
    """A file of the archive that is being written; ``bytes`` so far."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Append ``data`` to the file."""
        self._digest.update(data)
        self.bytes += len(data)
        self._out.write(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in hex."""
        return self._digest.hexdigest()


class Archive:
    """An archive as a context manager; ``now`` is the time of its files.

    A block that ends with an exception leaves it incomplete, so that nothing can take it for a ZIP archive.
    """

    def __init__(self, sink: Sink, now: datetime) -> None:
        self._sink = _Forward(sink)
        self._zip = zipfile.ZipFile(cast(IO[bytes], self._sink), "w", zipfile.ZIP_DEFLATED)
        self._time = (now.year, now.month, now.day, now.hour, now.minute, now.second)
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self.entries: list[Entry] = []

    @contextmanager
    def file(self, path: str, *, size: int = LARGE, compress: bool = True) -> Iterator[Writer]:
        """Open a file at ``path``, or at a similar path where that is taken.

        ``size``: an upper bound in bytes, if known. After an exception the archive is of no use.
        """
        info = zipfile.ZipInfo(self._free_path(path), self._time)
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.external_attr = 0o600 << 16
        # zipfile applies the archive's level only to files that it opens by name.
        info._compresslevel = LEVEL  # type: ignore[attr-defined]
        if size >= LARGE:
            # Python before 3.11.4 (Debian 12) sets it in the central directory only: gh-103861.
            info.extract_version = zipfile.ZIP64_VERSION
        with self._zip.open(info, "w", force_zip64=size >= LARGE) as out:
            if compress:
                # zipfile has no option for the compressor; its own zlib is four times as slow.
                out._compressor = isal_zlib.compressobj(LEVEL, wbits=-15)  # type: ignore[attr-defined]
            writer = Writer(out)
            yield writer
        self.entries.append(Entry(info.filename, writer.bytes, writer.sha256))

    def put(self, path: str, text: str) -> None:
        """Write a small text file."""
        data = text.encode()
        with self.file(path, size=len(data)) as writer:
            writer.write(data)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An abandoned archive must not look whole: zipfile completes it wherever it can.
        self._sink.abandoned = kind is not None
        self._zip.close()

    def _free_path(self, path: str) -> str:
        *parents, name = path.split("/")
        folder = ""
        # S3 may have a/b beside a, a file system may not.
        for parent in parents:
            folder = self._distinct(folder + parent, self._files) + "/"
            self._folders.add(folder[:-1].casefold())
        free_path = self._distinct(folder + name, self._files | self._folders)
        self._files.add(free_path.casefold())
        return free_path

    def _distinct(self, path: str, taken: set[str]) -> str:
        base, dot, ending = path.rpartition(".")
        number = 1
        candidate = path
        # Many file systems ignore the case of names.
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{base}-{number}.{ending}" if dot and "/" not in ending else f"{path}-{number}"
        return candidate


def safe_path(text: str) -> str:
    """Turn ``text`` into a relative path that every system can unpack, and only below its directory."""
    parts = (re.sub(r'[\x00-\x1f\x7f<>:"|?*\\]', "_", part).strip(" .") for part in text.split("/"))
    return "/".join(_short(part) for part in parts if part) or "_"


def _short(name: str) -> str:
    """Shorten a name, since file systems take 255 bytes; keep its extension, by which it is opened."""
    base, dot, ending = name.rpartition(".")
    kept = dot + ending if base and len(ending) <= LONGEST_ENDING else ""
    stem = name.removesuffix(kept)[: LONGEST_NAME - len(kept)]
    return stem.encode()[: LONGEST_NAME - len(kept.encode())].decode(errors="ignore").rstrip(" .") + kept


class _Forward:
    """A sink in zipfile's form: without ``tell`` it does not try to seek."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.abandoned = False

    def write(self, data: bytes) -> int:
        if not self.abandoned:
            self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the sink flushes by itself."""
