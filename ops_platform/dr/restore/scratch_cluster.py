"""Scratch directories of exercises: whose they are, how they go, and what a killed run left of them.

A scratch directory carries a marker that names the process it belongs to. What has no marker of
ours is never touched. The order of making is: directory under a name that cannot be taken for a
finished one, marker, rename. A worker killed between any two lines leaves

- a ``.new-*`` directory with nothing, or with a marker that was not written to its end: removed
  when nobody who could own it lives;
- a directory with a marker, and in it whatever the exercise had got to; its servers may still
  run: ``remove`` ends them first. The janitor takes it once the marker's process is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ops_platform.clients.waiting import wait_until
from ops_platform.dr.restore.workspace import Workspace, make_directory, own
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.settings import Settings

if TYPE_CHECKING:
    import psutil

MARKER = "ops-platform-scratch.json"
END_SECONDS = 30.0
_UNFINISHED = ".new-"


@dataclass(frozen=True)
class Marker:
    """Whose a scratch directory is. A process is its id and its start: ids are used again."""

    exercise_id: str
    host: str
    pid: int
    pid_started: float
    made_at: str

    @classmethod
    def ours(cls, exercise_id: str) -> Marker:
        import psutil  # where processes are looked at: the definitions name no process

        me = psutil.Process()
        return cls(exercise_id, socket.gethostname(), me.pid, me.create_time(), datetime.now(UTC).isoformat())

    @classmethod
    def read(cls, directory: Path) -> Marker | None:
        """None when there is no marker, or none of ours."""
        try:
            return cls(**json.loads((directory / MARKER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def is_alive(self) -> bool:
        """Whether its process lives; of another host that cannot be told, so yes."""
        import psutil

        if self.host != socket.gethostname():
            return True
        try:
            return abs(psutil.Process(self.pid).create_time() - self.pid_started) < 1.0
        except psutil.NoSuchProcess:
            return False


class NotRemoved(CheckFailed):
    """A scratch directory is still there: its exercise is no good one, whatever else it found."""


@dataclass(frozen=True)
class Leftover:
    """A scratch directory whose owner is gone; ``marker`` None for one that never got that far."""

    directory: Path
    marker: Marker | None


def scratch_root(settings: Settings) -> Path:
    return settings.state_dir / "scratch"


@contextmanager
def scratch(settings: Settings, exercise_id: str, name: str) -> Iterator[Workspace]:
    """An empty scratch directory, removed with all that runs in it when the block ends, however it ends.

    Raises NotRemoved when it stays.
    """
    root = scratch_root(settings)
    make_directory(root, settings.run_as)
    building = root / f"{_UNFINISHED}{os.getpid()}-{name}"
    building.mkdir(mode=0o700)
    (building / MARKER).write_text(json.dumps(asdict(Marker.ours(exercise_id))), encoding="utf-8")
    own(building, settings.run_as)
    directory = root / name
    building.rename(directory)
    try:
        workspace = Workspace(directory, directory / "data", settings.run_as)
        workspace.prepare()
        make_directory(workspace.data_dir, settings.run_as)
        yield workspace
    finally:
        remove(directory)


def leftovers(settings: Settings) -> list[Leftover]:
    """Scratch directories of this host whose process is gone. Only reads."""
    root = scratch_root(settings)
    found = []
    try:
        entries = sorted(root.iterdir())
    except (FileNotFoundError, PermissionError):
        return []
    for entry in entries:
        if not entry.is_dir() or entry.is_symlink():
            continue
        marker = Marker.read(entry)
        if marker is not None and not marker.is_alive:
            found.append(Leftover(entry, marker))
        elif marker is None and _is_abandoned(entry):
            found.append(Leftover(entry, None))
    return found


def sweep(settings: Settings) -> list[Leftover]:
    """Remove what killed runs left, and nothing else; what was removed. Safe to repeat, and side by side."""
    found = leftovers(settings)
    for one in found:
        if one.marker is None:
            # rmdir, not rmtree: without a marker only emptiness proves that it is ours to remove.
            with contextlib.suppress(OSError):
                (one.directory / MARKER).unlink(missing_ok=True)
                one.directory.rmdir()
        else:
            remove(one.directory)
    return found


def remove(directory: Path) -> None:
    """End the processes that work in ``directory`` and delete it. Raises NotRemoved if it stays.

    The marker goes last: a removal that is killed is taken up again.
    """
    end_processes(directory)
    try:
        for entry in directory.iterdir():
            if entry.name == MARKER:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        (directory / MARKER).unlink(missing_ok=True)
        directory.rmdir()
    except FileNotFoundError:
        if directory.exists():
            raise NotRemoved(f"{directory}: changes while it is removed; try again") from None
    except OSError as error:
        raise NotRemoved(
            f"{directory}: the scratch cluster could not be removed ({error.strerror}): remove it by hand"
        ) from None


def end_processes(directory: Path) -> None:
    """Kill every process of PostgreSQL and pgBackRest that works below ``directory``. Raises NotRemoved."""
    import psutil

    found = _processes(directory)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    def gone() -> bool:
        return not _processes(directory)

    if found:
        try:
            wait_until(gone, END_SECONDS, f"the processes in {directory} end", interval=0.05)
        except Unavailable as error:
            raise NotRemoved(str(error)) from None


def _processes(directory: Path) -> list[psutil.Process]:
    import psutil

    text = str(directory)
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            name = process.name()
            if not name.startswith(("postgres", "pgbackrest", "pg_", "sh")):
                continue
            where = process.cwd()
            words = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        inside = where == text or where.startswith(f"{text}/")
        if inside or any(_names(word, text) for word in words):
            found.append(process)
    return found


def _names(word: str, directory: str) -> bool:
    _, found, rest = word.partition(directory)
    return bool(found) and (not rest or rest[0] == "/")


def _is_abandoned(entry: Path) -> bool:
    import psutil

    if not entry.name.startswith(_UNFINISHED):
        return False
    pid = entry.name.removeprefix(_UNFINISHED).partition("-")[0]
    if not pid.isdigit() or psutil.pid_exists(int(pid)):
        return False
    return {inside.name for inside in entry.iterdir()} <= {MARKER}
