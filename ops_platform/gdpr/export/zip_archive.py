"""A ZIP archive that is written as it comes, and the size and SHA-256 of what is in it. Knows no subjects."""

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
"""Bytes from which an entry needs ZIP64; Python's zipfile draws the line there."""
LEVEL = 1
"""Of deflate: higher ones save little of JSON, and cost more than the database takes to send it."""
LONGEST_NAME = 150
"""Bytes of a name within a path."""
LONGEST_ENDING = 10


class Sink(Protocol):
    """Where an archive goes; it is never read and never moved in."""

    def write(self, data: bytes, /) -> Any: ...


@dataclass(frozen=True)
class Entry:
    """One file of an archive; ``sha256`` in hex."""

    path: str
    bytes: int
    sha256: str


class Writer:
    """One file that is being written."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.bytes += len(data)
        self._out.write(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class Archive:
    """``now`` is the time that its files bear. A block that ends well closes it; else it stays no ZIP."""

    def __init__(self, sink: Sink, now: datetime) -> None:
        self._sink = _Forward(sink)
        self._zip = zipfile.ZipFile(cast(IO[bytes], self._sink), "w", zipfile.ZIP_DEFLATED)
        self._time = (now.year, now.month, now.day, now.hour, now.minute, now.second)
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self.entries: list[Entry] = []

    @contextmanager
    def file(self, path: str, *, size: int = LARGE, compress: bool = True) -> Iterator[Writer]:
        """A file at ``path``, or beside it where that is taken. ``size``: at most so many bytes, if known.

        After an exception the archive is of no use.
        """
        info = zipfile.ZipInfo(self._free(path), self._time)
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.external_attr = 0o600 << 16
        # zipfile takes the level of the archive only for files that it names by itself.
        info._compresslevel = LEVEL  # type: ignore[attr-defined]
        if size >= LARGE:
            # Python before 3.11.4 (Debian 12) tells it in the directory only: gh-103861.
            info.extract_version = zipfile.ZIP64_VERSION
        with self._zip.open(info, "w", force_zip64=size >= LARGE) as out:
            if compress:
                # zipfile has no way to say so. Without it, its own zlib does the same four times as slowly.
                out._compressor = isal_zlib.compressobj(LEVEL, wbits=-15)  # type: ignore[attr-defined]
            writer = Writer(out)
            yield writer
        self.entries.append(Entry(info.filename, writer.bytes, writer.sha256))

    def put(self, path: str, text: str) -> None:
        """A small text file."""
        data = text.encode()
        with self.file(path, size=len(data)) as writer:
            writer.write(data)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An archive that is given up must not look whole: zipfile completes it wherever it can.
        self._sink.given_up = kind is not None
        self._zip.close()

    def _free(self, path: str) -> str:
        *parents, name = path.split("/")
        folder = ""
        # In S3 there may be a/b beside a; in no file system.
        for parent in parents:
            folder = self._beside(folder + parent, self._files) + "/"
            self._folders.add(folder[:-1].casefold())
        found = self._beside(folder + name, self._files | self._folders)
        self._files.add(found.casefold())
        return found

    def _beside(self, path: str, taken: set[str]) -> str:
        base, dot, ending = path.rpartition(".")
        number = 1
        found = path
        # Many file systems do not tell capitals from small letters.
        while found.casefold() in taken:
            number += 1
            found = f"{base}-{number}.{ending}" if dot and "/" not in ending else f"{path}-{number}"
        return found


def safe_path(text: str) -> str:
    """As a relative path that every system can unpack, and none outside of its directory."""
    parts = (re.sub(r'[\x00-\x1f\x7f<>:"|?*\\]', "_", part).strip(" .") for part in text.split("/"))
    return "/".join(_short(part) for part in parts if part) or "_"


def _short(name: str) -> str:
    """File systems take 255 bytes; its ending, by which a file is opened, stays."""
    base, dot, ending = name.rpartition(".")
    kept = dot + ending if base and len(ending) <= LONGEST_ENDING else ""
    stem = name.removesuffix(kept)[: LONGEST_NAME - len(kept)]
    return stem.encode()[: LONGEST_NAME - len(kept.encode())].decode(errors="ignore").rstrip(" .") + kept


class _Forward:
    """A sink as zipfile wants one: without ``tell`` it does not try to go back."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.given_up = False

    def write(self, data: bytes) -> int:
        if not self.given_up:
            self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """What is behind flushes by itself."""
