"""The disk of a server's WAL. When it is full, PostgreSQL stops: no write, no heartbeat, no backup.

WAL stays there while it is not archived, and while a replication slot waits for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WalDisk:
    """Space, in bytes, of the file system of ``pg_wal``; ``free``: what PostgreSQL's user can have."""

    size: int
    free: int


def look(data_dir: Path) -> WalDisk | None:
    """Read the space of the disk of ``pg_wal``.

    None where it cannot be seen: the server runs on another host, or this user may not enter its directory.
    """
    try:
        found = os.statvfs(data_dir / "pg_wal")
    except OSError:
        return None
    return WalDisk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
