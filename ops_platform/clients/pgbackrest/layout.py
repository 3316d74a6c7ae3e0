"""Layout of pgBackRest's repository: where things lie in it, and what their names say.

Pure. Paths are below the repository's own path, as ``repo-ls`` and ``repo-get`` take them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BACKUP_INFO = "backup.info"
ARCHIVE_INFO = "archive.info"
MANIFEST = "backup.manifest"
COPY = ".copy"
"""Ending of the second copy of an info file or a manifest."""
BUNDLES = "bundle"
"""The folder of a set that holds small files packed together; their names are numbers."""

# Partial segments and backup labels are archived too; recovery does not read them.
_SEGMENT = re.compile(r"(?P<segment>[0-9A-F]{24})-(?P<checksum>[0-9a-f]{40})(\.(?P<codec>[a-z0-9]+))?")
_FOLDER = re.compile(r"[0-9A-F]{16}")
_HISTORY = re.compile(r"(?P<timeline>[0-9A-F]{8})\.history")
_LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")


@dataclass(frozen=True)
class SegmentFile:
    """Parts of the name of an archived segment.

    ``checksum`` is the SHA-1 of its bytes as PostgreSQL wrote them, ``codec`` the ending of the compression,
    None for a plain file.
    """

    segment: str
    checksum: str
    codec: str | None

    @classmethod
    def parse(cls, name: str) -> SegmentFile | None:
        """Read the name of a file in a folder of the archive; None when it is no segment."""
        match = _SEGMENT.fullmatch(name)
        return None if match is None else cls(match["segment"], match["checksum"], match["codec"])

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.segment}-{self.checksum}" + ("" if self.codec is None else f".{self.codec}")


@dataclass(frozen=True)
class Layout:
    """Paths of one stanza."""

    stanza: str

    @property
    def sets(self) -> str:
        """The folder of all sets, with the index of them."""
        return f"backup/{self.stanza}"

    @property
    def backup_info(self) -> str:
        """The index of the sets; its copy has ``COPY`` at the end."""
        return f"{self.sets}/{BACKUP_INFO}"

    @property
    def set_history(self) -> str:
        """The folder where pgBackRest keeps a manifest of each set that was ever completed."""
        return f"{self.sets}/backup.history"

    def set(self, label: str) -> str:
        """Name the folder of one set."""
        return f"{self.sets}/{label}"

    def manifest(self, label: str) -> str:
        """Name the list of the files of one set."""
        return f"{self.set(label)}/{MANIFEST}"

    def bundle(self, label: str, number: int) -> str:
        """Name one file that holds several small ones of a set."""
        return f"{self.set(label)}/{BUNDLES}/{number}"

    @property
    def archives(self) -> str:
        """The folder of all archives, one for each cluster that the stanza has stood for."""
        return f"archive/{self.stanza}"

    @property
    def archive_info(self) -> str:
        """The index of the archives; its copy has ``COPY`` at the end."""
        return f"{self.archives}/{ARCHIVE_INFO}"

    def archive(self, archive_id: str) -> str:
        """Name the folder of one cluster's archive, which holds folders of segments and history files."""
        return f"{self.archives}/{archive_id}"

    def folder(self, archive_id: str, folder: str) -> str:
        """Name one folder of segments."""
        return f"{self.archive(archive_id)}/{folder}"

    def history(self, archive_id: str, timeline: int) -> str:
        """Name the history file of a timeline."""
        return f"{self.archive(archive_id)}/{timeline:08X}.history"


def archive_id(version: str, number: int) -> str:
    """Name the archive of a cluster by its PostgreSQL version and its number in the stanza."""
    return f"{version}-{number}"


def is_folder(name: str) -> bool:
    """Tell whether a name in a cluster's archive is that of a folder of segments."""
    return _FOLDER.fullmatch(name) is not None


def segment_of(name: str) -> str:
    """Name the segment that the file ``name`` of an archive holds, or begins with."""
    return name[:24]


def folder_of(segment: str) -> str:
    """Name the folder of a segment: pgBackRest keeps one for each log of a timeline."""
    return segment[:16]


def folders_between(first: str, last: str) -> list[str]:
    """Name the folders of all segments of one timeline from ``first`` to ``last``."""
    begin, end = (int(log_of(folder_of(name)), 16) for name in (first, last))
    return [f"{first[:8]}{log:08X}" for log in range(begin, end + 1)]


def log_of(folder: str) -> str:
    """Return the part of a folder's name behind the timeline; it sorts by position."""
    return folder[8:]


def timeline_of(folder: str) -> int:
    """Return the timeline in the name of a folder or of a segment."""
    return int(folder[:8], 16)


def history_timeline(name: str) -> int | None:
    """Tell of which timeline a file is the history; None for other files."""
    match = _HISTORY.fullmatch(name)
    return None if match is None else int(match["timeline"], 16)


def before(name: str) -> str:
    """Return a key to list after, so that the folder ``name`` comes first.

    SeaweedFS would skip it after ``name`` itself. What is returned sorts behind all that the folder before it
    holds, whose name ends in the digit or letter below.
    """
    last = name[-1]
    return f"{name[:-1]}." if last == "0" else f"{name[:-1]}{chr(ord(last) - 1)}~"


def is_full(label: str) -> bool:
    """Tell whether a label is that of a full; those of sets that build on it begin with it."""
    return "_" not in label


def full_of(label: str) -> str:
    """Return the label of the full that a set builds on; its own, if it is one."""
    return label.partition("_")[0]


def is_label(name: str) -> bool:
    """Tell whether a name below the folder of the sets is a set's label."""
    return _LABEL.fullmatch(name) is not None
