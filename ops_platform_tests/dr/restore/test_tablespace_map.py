"""Where tablespaces go: to their own place if it is free, else beside the data; nothing is overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops_platform.dr.restore import tablespace_map, workspace
from ops_platform.dr.restore.tablespace_map import Placement, Tablespace
from ops_platform.dr.restore.workspace import Workspace
from ops_platform.errors import CheckFailed, ConfigurationError


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    (tmp_path / "work").mkdir()
    return Workspace(tmp_path / "work", tmp_path / "data", None)


@pytest.fixture
def fast(tmp_path: Path) -> Tablespace:
    return Tablespace(16400, "fast", tmp_path / "ssd" / "fast")


def test_an_own_place_that_is_free_is_taken(fast: Tablespace, tmp_path: Path) -> None:
    fast.location.parent.mkdir()
    for _ in range(2):  # not there yet; then empty
        [placed] = tablespace_map.place([fast], {}, tmp_path / "beside")
        assert placed == Placement(fast, fast.location)
        assert placed.option == f"--tablespace-map=16400={fast.location}"
        fast.location.mkdir(exist_ok=True)


def test_one_that_the_old_cluster_uses_goes_beside(fast: Tablespace, tmp_path: Path) -> None:
    (fast.location / "PG_15_202209061").mkdir(parents=True)
    [placed] = tablespace_map.place([fast], {}, tablespace_map.beside(tmp_path / "look"))
    assert placed.directory == tmp_path / "look.tablespaces" / "fast"
    assert str(placed) == f"fast: {placed.directory}, not {fast.location} (it is not empty)"


def test_one_whose_disk_is_not_here_goes_beside(fast: Tablespace, tmp_path: Path) -> None:
    [placed] = tablespace_map.place([fast], {}, tmp_path / "beside")
    assert placed.directory == tmp_path / "beside" / "fast"
    assert f"{fast.location.parent} is not on this machine" in str(placed)


@pytest.mark.parametrize("old", ["fast", "16400", "own"])
def test_somebody_says_where(fast: Tablespace, tmp_path: Path, old: str) -> None:
    key = str(fast.location) if old == "own" else old
    [placed] = tablespace_map.place([fast], {key: tmp_path / "new"}, tmp_path / "beside")
    assert placed.directory == tmp_path / "new"


def test_one_that_the_set_does_not_have_is_named(fast: Tablespace, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no tablespace slow; it has fast \(.*/ssd/fast\)"):
        tablespace_map.place([fast], {"slow": tmp_path / "new"}, tmp_path / "beside")


def test_a_name_that_is_no_file_name_gives_way_to_the_oid(tmp_path: Path) -> None:
    [placed] = tablespace_map.below([Tablespace(7, "../x y", Path("/x"))], tmp_path)
    assert placed.directory == tmp_path / "7"


def test_a_directory_in_use_or_inside_another_is_refused(
    here: Workspace, fast: Tablespace, tmp_path: Path
) -> None:
    used = tmp_path / "used"
    (used / "thesis").mkdir(parents=True)
    with pytest.raises(CheckFailed, match="it is not empty; give it another with --tablespace-map fast=DIR"):
        tablespace_map.require_usable(here, [Placement(fast, used)])
    with pytest.raises(ConfigurationError, match="the data directory is at"):
        tablespace_map.require_usable(here, [Placement(fast, here.data_dir / "spaces")])
    other = Tablespace(16401, "slow", Path("/slow"))
    with pytest.raises(ConfigurationError, match="tablespace fast is at"):
        tablespace_map.require_usable(
            here, [Placement(fast, tmp_path / "a"), Placement(other, tmp_path / "a" / "b")]
        )
    tablespace_map.require_usable(here, [Placement(fast, tmp_path / "a"), Placement(other, tmp_path / "b")])


def test_an_existing_parent_keeps_its_owner_and_mode(
    here: Workspace, fast: Tablespace, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o751)
    tablespace_map.make_directories(here, [Placement(fast, disk / "fast")])
    tablespace_map.make_directories(here, [Placement(fast, tmp_path / "new.tablespaces" / "fast")])
    assert disk.stat().st_mode & 0o777 == 0o751
    assert (disk / "fast").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new.tablespaces" / "fast").is_dir()


def test_everything_on_one_file_system_is_checked_for_space(
    here: Workspace, fast: Tablespace, tmp_path: Path
) -> None:
    placements = [Placement(fast, tmp_path / "new" / "fast")]
    free = tablespace_map.require_space(here, placements, 1)
    assert free is not None
    assert free > 0
    with pytest.raises(CheckFailed, match="free space or restore elsewhere"):
        tablespace_map.require_space(here, placements, 1 << 60)
    assert tablespace_map.require_space(here, [Placement(fast, Path("/proc/self"))], 1 << 60) is None


def test_a_place_that_nobody_could_enter_is_named_at_once(tmp_path: Path) -> None:
    """Asked as the user who restores: root itself may enter everything."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    run_as = None if os.geteuid() else "nobody"
    try:
        with pytest.raises(ConfigurationError, match=r"cannot be entered by .*: choose a directory"):
            workspace.require_reachable(closed / "data", run_as)
    finally:
        closed.chmod(0o700)
