"""Listings of folders that no longer grow, kept in the state directory for the next process.

A listing costs a request, and an archive of five weeks has hundreds of folders. What is kept here is a
listing of the repository like any other, with its age; readers list a folder anew when that is too high.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops_platform.backup.repository.segment_folders import SegmentFolder, folder_of_rows
from ops_platform.backup.wal import Geometry, Segment
from ops_platform.clients.pgbackrest import layout

FORMAT = 1


@dataclass(frozen=True)
class ListedFolder:
    """A folder as it was listed, and when (Unix seconds)."""

    folder: SegmentFolder
    at: float


@dataclass(frozen=True)
class ListingCache:
    """Kept listings of one cluster's archive; without a directory it keeps nothing.

    One that cannot be read or written is passed over: it only saves requests.
    """

    directory: Path | None
    geometry: Geometry

    def load(self, name: str) -> ListedFolder | None:
        """Read what was kept of a folder; None when there is nothing of use."""
        if self.directory is None:
            return None
        try:
            kept = json.loads((self.directory / f"{name}.json").read_text(encoding="ascii"))
            if kept["format"] != FORMAT or kept["segment_bytes"] != self.geometry.size:
                return None
            rows = [(int(number), int(size), int(at)) for number, size, at in kept["segments"]]
            at, timeline = float(kept["listed_at"]), layout.timeline_of(name)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        ends = [self.geometry.folder(Segment(timeline, number)) for number, _, _ in (*rows[:1], *rows[-1:])]
        if rows != sorted(rows) or any(folder != name for folder in ends):
            return None
        return ListedFolder(folder_of_rows(name, rows), at)

    def store(self, listed: ListedFolder) -> None:
        """Keep a listing."""
        if self.directory is None or listed.folder.rows is None:
            return
        text = json.dumps(
            {
                "format": FORMAT,
                "segment_bytes": self.geometry.size,
                "listed_at": listed.at,
                "segments": listed.folder.rows,
            },
            separators=(",", ":"),
        )
        with suppress(OSError):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not flushed: what a loss of power leaves half written is passed over.
            descriptor, new = tempfile.mkstemp(".new", dir=self.directory)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
            Path(new).replace(self.directory / f"{listed.folder.name}.json")

    def forget(self, name: str) -> None:
        """Remove the listing of a folder."""
        if self.directory is not None:
            with suppress(OSError):
                (self.directory / f"{name}.json").unlink(missing_ok=True)

    def forget_all_but(self, names: set[str]) -> None:
        """Remove the listings of folders that are gone."""
        if self.directory is None:
            return
        with suppress(OSError):
            for path in self.directory.glob("*.json"):
                if path.stem not in names:
                    path.unlink(missing_ok=True)
