"""A recovery is ended when one file of the archive does not come, and at no other time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.dr.restore.fetch_watch import LEAST_BYTES, FetchWatch
from ops_platform.errors import Unavailable

SEGMENT, NEXT = "000000010000000000000005", "000000010000000000000006"


class Scene:
    """A recovery with a clock of its own."""

    def __init__(self, directory: Path) -> None:
        self.now, self.marker, self.into = 0.0, directory / "fetching", directory / "RECOVERYXLOG"
        self.watch = FetchWatch(self.marker, directory, 600, lambda: self.now)

    def begin(self, name: str) -> None:
        self.marker.write_text(f"{name}\n")

    def came(self, size: int) -> None:
        with self.into.open("wb") as file:
            file.truncate(size)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds // 10)):
            self.now += 10
            self.watch.look()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_file_of_which_too_little_comes_ends_the_recovery(scene: Scene) -> None:
    scene.begin(SEGMENT)
    scene.wait(590)
    scene.came(1000)
    with pytest.raises(Unavailable, match=rf"less than 1 MiB of {SEGMENT} .* OPS_PGBACKREST_STALL_SECONDS"):
        scene.wait(30)


def test_a_slow_file_is_waited_for_as_long_as_it_comes(scene: Scene) -> None:
    scene.begin(SEGMENT)
    for mebibyte in range(1, 17):
        scene.wait(590)
        scene.came(mebibyte * LEAST_BYTES)
    scene.begin(NEXT)
    scene.came(0)
    scene.wait(590)


def test_replay_is_given_all_its_time(scene: Scene) -> None:
    scene.wait(5000)
    scene.begin(SEGMENT)
    scene.wait(300)
    scene.begin("")
    scene.wait(5000)
    scene.begin(SEGMENT)
    scene.wait(600)
