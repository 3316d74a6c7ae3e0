"""The watch on the fetching of WAL during a recovery: one file that does not come holds it for ever.

Replay itself is not judged here: one record can take long, and the disk is not S3. The copy of the set, which
comes before, is watched by ``clients.pgbackrest``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops_platform.errors import Unavailable

LEAST_BYTES = 1 << 20
_INTO = tuple(name + end for name in ("RECOVERYXLOG", "RECOVERYHISTORY") for end in ("", ".pgbackrest.tmp"))
"""What a file of the archive is written to, in ``pg_wal``; PostgreSQL names it."""


@dataclass
class FetchWatch:
    """Watches one recovery. ``marker`` holds the name of the file that is being fetched, or nothing."""

    marker: Path
    wal: Path
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _fetch: tuple[str, int] = ("", 0)
    _size: int = 0
    _moved_at: float = 0.0

    def look(self) -> None:
        """Look once.

        Raises Unavailable when the same file has been fetched for ``seconds``, and less than LEAST_BYTES of
        it came in that time.
        """
        fetch, size = self._fetching(), self._fetched()
        if fetch != self._fetch or not self._size <= size < self._size + LEAST_BYTES:
            self._fetch, self._size, self._moved_at = fetch, size, self.clock()
            return
        name, _ = fetch
        if name and self.clock() - self._moved_at > self.seconds:
            raise Unavailable(
                f"the recovery got less than {LEAST_BYTES >> 20} MiB of {name} from the archive in "
                f"{self.seconds:g} s and was stopped: S3 or the way to it is too slow; look at both, then "
                "restore again into an empty directory, or raise OPS_PGBACKREST_STALL_SECONDS"
            )

    def _fetching(self) -> tuple[str, int]:
        try:
            return self.marker.read_text(encoding="ascii").strip(), self.marker.stat().st_mtime_ns
        except OSError:
            return "", 0

    def _fetched(self) -> int:
        size = 0
        for name in _INTO:
            try:
                size += (self.wal / name).stat().st_size
            except OSError:
                continue  # not begun, or PostgreSQL has it already
        return size
