"""The disk of the WAL: its own, also behind a link; unknown where it cannot be seen."""

from __future__ import annotations

import shutil
from pathlib import Path

from ops_platform.backup.monitoring import wal_disk


def test_the_disk_behind_a_link_counts(tmp_path: Path) -> None:
    (tmp_path / "pg_wal").symlink_to("/dev/shm")
    found = wal_disk.look(tmp_path)
    assert found is not None
    assert found.size == shutil.disk_usage("/dev/shm").total
    assert 0 < found.free <= found.size


def test_a_disk_of_another_host_is_unknown(tmp_path: Path) -> None:
    assert wal_disk.look(tmp_path / "elsewhere") is None
