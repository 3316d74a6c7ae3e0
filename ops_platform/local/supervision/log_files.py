"""Reader of the services' logs."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ops_platform.clients.safe_errors import program_last_line
from ops_platform.errors import ConfigurationError

POLL_SECONDS = 0.3
_COMPLAINT = re.compile(r"Error\b|\bFATAL\b|\bPANIC\b|\berr(or)?\b", re.IGNORECASE)


def names(directory: Path) -> list[str]:
    """List the services that have a log."""
    return sorted(path.stem for path in directory.glob("*.log"))


def read(directory: Path, service: str | None, *, lines: int, follow: bool) -> Iterator[str]:
    """Yield the last ``lines`` lines, then new ones for ever if ``follow``, also across rotations.

    Without a service: the names that have a log. Raises ConfigurationError for another name.
    """
    known = names(directory)
    if service is None:
        return iter(known)
    if service not in known:
        offer = ", ".join(known) if known else "none yet, start the stack with 'ops-platform up'"
        raise ConfigurationError(f"there is no log of {service!r}; there are: {offer}")
    return _lines(directory / f"{service}.log", lines, follow)


def last_word(path: Path) -> str:
    """Quote the last line that speaks of an error, else the last one, with the path of the log."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            recent = [line.strip() for line in deque(file, maxlen=60) if line.strip()]
    except FileNotFoundError:
        recent = []
    if not recent:
        return f"nothing in {path}"
    complaints = [line for line in recent if _COMPLAINT.search(line)]
    return f"{program_last_line((complaints or recent)[-1])} ({path})"


def _lines(path: Path, count: int, follow: bool) -> Iterator[str]:
    file = path.open(encoding="utf-8", errors="replace")
    try:
        yield from (line.rstrip("\n") for line in deque(file, maxlen=count))
        while follow:
            line = file.readline()
            if line:
                yield line.rstrip("\n")
            elif _was_rotated(file.fileno(), path):
                file.close()
                file = path.open(encoding="utf-8", errors="replace")
            else:
                time.sleep(POLL_SECONDS)
    finally:
        file.close()


def _was_rotated(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False
