"""A scratch directory goes with its exercise; what a killed one left goes with the janitor, no more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform.dr.restore.scratch_cluster import MARKER, Marker
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import short_directory

_OWNER = """
import signal, sys
from ops_platform.dr.restore.scratch_cluster import scratch
from ops_platform.settings import load_settings
with scratch(load_settings({"OPS_STATE_DIR": sys.argv[1]}), "x:product:latest", "x1") as here:
    (here.data_dir / "base").mkdir()
    print("READY", flush=True)
    signal.pause()
"""

# One interpreter for many owners: each is a child that is made at a line on stdin.
_OWNERS = """
import os, signal, sys
from ops_platform.dr.restore.scratch_cluster import scratch
from ops_platform.settings import load_settings
settings = load_settings({"OPS_STATE_DIR": sys.argv[1]})
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        with scratch(settings, "x:product:latest", "x1") as here:
            (here.data_dir / "base").mkdir()
            signal.pause()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("GONE", flush=True)
"""


@pytest.fixture
def settings() -> Iterator[Settings]:
    root = short_directory()
    yield load_settings({"OPS_STATE_DIR": str(root)})
    subprocess.run(["rm", "-rf", "--", str(root)], check=True)


@contextmanager
def owner(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(settings.state_dir)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "READY\n"
        yield process
    finally:
        process.kill()
        process.wait()


def entries(settings: Settings) -> list[str]:
    return sorted(entry.name for entry in scratch.scratch_root(settings).iterdir())


def test_it_goes_with_the_block_whatever_ends_it(settings: Settings) -> None:
    with scratch.scratch(settings, "a", "a1") as here:
        assert Marker.read(here.directory) is not None
        assert here.directory.stat().st_mode & 0o777 == 0o700
    assert entries(settings) == []
    with pytest.raises(KeyboardInterrupt), scratch.scratch(settings, "a", "a1"):
        raise KeyboardInterrupt
    assert entries(settings) == []


@pytest.mark.processes
def test_a_living_owners_directory_is_left_alone(settings: Settings) -> None:
    with owner(settings):
        assert scratch.leftovers(settings) == []
        assert scratch.sweep(settings) == []
        assert entries(settings) == ["x1"]


@pytest.mark.processes
def test_what_a_killed_owner_left_is_swept_with_its_processes(settings: Settings) -> None:
    with owner(settings) as process:
        process.kill()
        process.wait()
        directory = scratch.scratch_root(settings) / "x1"
        # A child that works there, as a restored server whose exercise died.
        child = subprocess.Popen(["sh", "-c", "sleep 300; :"], cwd=directory / "data")
        try:
            found = scratch.sweep(settings)
            assert [one.marker.exercise_id for one in found if one.marker] == ["x:product:latest"]
            assert child.wait(10) == -signal.SIGKILL
        finally:
            child.kill()
            child.wait()
    assert entries(settings) == []
    assert scratch.sweep(settings) == []


def test_what_is_not_ours_stays(settings: Settings) -> None:
    root = scratch.scratch_root(settings)
    root.mkdir()
    (root / "mine").mkdir()
    (root / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    (root / "strange").mkdir()
    (root / "strange" / MARKER).write_text('{"pid": 1}', encoding="utf-8")
    (root / "file").write_text("x", encoding="utf-8")
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    gone = Marker("y", "another-host", 1, 0.0, "2026-01-01")
    (elsewhere / MARKER).write_text(json.dumps(vars(gone)), encoding="utf-8")
    (root / "link").symlink_to(root / "mine")
    assert scratch.sweep(settings) == []
    assert entries(settings) == ["elsewhere", "file", "link", "mine", "strange"]


def test_a_directory_that_never_got_its_marker(settings: Settings) -> None:
    root = scratch.scratch_root(settings)
    root.mkdir()
    dead = max(psutil.pids()) + 100_000
    (root / f".new-{dead}-a1").mkdir()
    (root / f".new-{dead}-b1").mkdir()
    (root / f".new-{dead}-b1" / "something").touch()
    (root / f".new-{os.getpid()}-c1").mkdir()
    for text, name in (("", "d1"), ('{"exercise_id": "x', "e1")):
        (root / f".new-{dead}-{name}").mkdir()
        (root / f".new-{dead}-{name}" / MARKER).write_text(text, encoding="utf-8")
    scratch.sweep(settings)
    assert set(entries(settings)) == {f".new-{dead}-b1", f".new-{os.getpid()}-c1"}


def of_another_host(root: Path, name: str, age: float, *, renewed: bool = True) -> Path:
    """A scratch directory on a volume that hosts share, as old as ``age`` seconds."""
    directory = root / name
    directory.mkdir()
    marker = Marker("y", "another-host", os.getpid(), 0.0, "2026-01-01", renewed)
    (directory / MARKER).write_text(json.dumps(vars(marker)), encoding="utf-8")
    before = time.time() - age
    os.utime(directory / MARKER, (before, before))
    return directory


def test_another_hosts_directory_goes_when_its_lease_is_over(settings: Settings) -> None:
    root = scratch.scratch_root(settings)
    root.mkdir()
    of_another_host(root, "dead", scratch.LEASE_SECONDS + 60)
    of_another_host(root, "living", scratch.LEASE_SECONDS - 60)
    of_another_host(root, "earlier-version", scratch.LEASE_SECONDS + 60, renewed=False)
    for name, age in (
        (".new-7@another-host-a1", scratch.LEASE_SECONDS + 60),
        (".new-7@another-host-b1", 0.0),
    ):
        (root / name).mkdir()
        os.utime(root / name, (time.time() - age,) * 2)
    swept = scratch.sweep(settings)
    assert {leftover.directory.name for leftover in swept} == {"dead", ".new-7@another-host-a1"}
    assert set(entries(settings)) == {"living", "earlier-version", ".new-7@another-host-b1"}


def test_an_owner_renews_its_lease(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "RENEWAL_SECONDS", 0.01)
    with scratch.scratch(settings, "a", "a1") as here:
        marker = here.directory / MARKER
        os.utime(marker, (0, 0))
        wait_until(lambda: marker.stat().st_mtime > 0, 30, "the lease to be renewed")
        monkeypatch.setattr("socket.gethostname", lambda: "another-host")
        assert scratch.leftovers(settings) == []
        monkeypatch.setattr(scratch, "LEASE_SECONDS", -1.0)
        assert [leftover.directory for leftover in scratch.leftovers(settings)] == [here.directory]


def test_a_process_id_that_was_given_away_again_is_not_the_owner() -> None:
    me = Marker.ours("z")
    assert me.is_alive
    assert not Marker("z", me.host, me.pid, me.pid_started - 5000, me.made_at).is_alive


def test_failure_to_remove_is_loud(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(CheckFailed, match="could not be removed"), scratch.scratch(settings, "a", "a1"):
        pass


def test_a_state_directory_too_deep_for_a_socket(settings: Settings) -> None:
    deep = settings.state_dir / ("d" * 90)
    deep.mkdir()
    with (
        pytest.raises(ConfigurationError, match="shorter OPS_STATE_DIR"),
        scratch.scratch(load_settings({"OPS_STATE_DIR": str(deep)}), "a", "a1"),
    ):
        pass


@pytest.mark.processes
def test_killed_at_any_moment_of_its_making(settings: Settings) -> None:
    """Whatever instant the owner dies in, the sweep leaves nothing of it."""
    root = scratch.scratch_root(settings)
    with subprocess.Popen(
        [sys.executable, "-c", _OWNERS, str(settings.state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owners:
        assert owners.stdin is not None
        assert owners.stdout is not None
        for delay in range(6):
            print(file=owners.stdin, flush=True)
            child = int(owners.stdout.readline())
            wait_until(
                lambda: root.exists() and any(root.iterdir()),
                20,
                "the directory appears",
                interval=0.0005 * (delay + 1),
            )
            os.kill(child, signal.SIGKILL)
            assert owners.stdout.readline() == "GONE\n"
            scratch.sweep(settings)
            assert entries(settings) == []


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--pg1-path=/s/x1/data", True),
        ("postgresql:///product?host=%2Fs%2Fx1%2Fsocket&port=5432", True),
        ("postgresql:///product?host=%2Fs%2Fx10%2Fsocket&port=5432", False),
        ("/s/x10/data", False),
    ],
)
def test_an_argument_names_a_scratch_directory_in_a_connection_string_too(
    argument: str, expected: bool
) -> None:
    assert scratch._names(argument, "/s/x1") is expected
