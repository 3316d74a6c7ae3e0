"""The objectives' documents, which are parsed when they change and not at every look.

Five hundred of them cost the parser two seconds, and the agent looks every 15.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ops_platform.slo.objectives import Objective, openslo

RECENT_NS = 2_000_000_000
"""A file that was changed so short a time ago may change again without a new time of change."""

_Seen = tuple[tuple[str, int, int, int, int], ...]


class DocumentWatch:
    """The objectives of a directory; a different inode, size or time of any file has all parsed again."""

    def __init__(
        self, directory: Path, load: Callable[[Path], Sequence[Objective]] = openslo.load_files
    ) -> None:
        self._directory = directory
        self._load = load
        self._seen: _Seen | None = None
        self._objectives: Sequence[Objective] = ()

    def objectives(self) -> Sequence[Objective]:
        """Return the objectives as the documents are now. Raises ConfigurationError at the first fault."""
        looked = time.time_ns()
        seen = self._look()
        if seen != self._seen:
            self._seen = None
            self._objectives = self._load(self._directory)
            if all(changed < looked - RECENT_NS for *_, changed in seen):
                self._seen = seen
        return self._objectives

    def _look(self) -> _Seen:
        found = []
        for entry in os.scandir(self._directory) if self._directory.is_dir() else ():
            if entry.name.endswith((".yaml", ".yml")):
                stat = Path(entry.path).stat()
                found.append((entry.name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        return tuple(sorted(found))
