"""Scratch directories of exercises: their owner, their removal, and what a killed run left of them.

A scratch directory carries a marker that names the process it belongs to. A directory without a
marker of ours is never touched. It is made in this order: directory under a name that cannot be taken
for a finished one, marker, rename. A worker killed between any two lines leaves

- a ``.new-*`` directory with nothing, or with a marker that was not written to its end: removed
  when no process that could own it lives;
- a directory with a marker, and in it the exercise's files so far; its servers may still run:
  ``remove`` ends them first. The janitor removes it once the marker's process is gone.

Hosts may share the volume, as pods do, and a pod that died has taken its name and its process ids with it. So
the owner renews the marker's time while it lives, and one of another host that is no longer renewed is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ops_platform.clients.waiting import wait_until
from ops_platform.dr.restore.workspace import Workspace, make_directory, set_owner
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.settings import Settings

if TYPE_CHECKING:
    import psutil

MARKER = "ops-platform-scratch.json"
END_SECONDS = 30.0
RENEWAL_SECONDS = 60.0
"""Pause between two renewals of a marker's time by its owner."""
LEASE_SECONDS = 900.0
"""Age of a marker of another host from which on its owner counts as dead; clocks may differ by minutes."""
_UNFINISHED = ".new-"


@dataclass(frozen=True)
class Marker:
    """The owner of a scratch directory: a process by its id and its start, since ids are used again."""

    exercise_id: str
    host: str
    pid: int
    pid_started: float
    made_at: str
    renewed: bool = False
    """Whether the owner renews the marker's time; earlier versions did not."""

    @classmethod
    def ours(cls, exercise_id: str) -> Marker:
        """Make the marker of this process."""
        import psutil  # only here: loading the definitions looks at no process

        me = psutil.Process()
        made_at = datetime.now(UTC).isoformat()
        return cls(exercise_id, socket.gethostname(), me.pid, me.create_time(), made_at, renewed=True)

    @classmethod
    def read(cls, directory: Path) -> Marker | None:
        """Read the marker of ``directory``; None when there is none, or not one of ours."""
        try:
            return cls(**json.loads((directory / MARKER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def is_alive(self) -> bool:
        """Whether its process lives on this host."""
        import psutil

        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.pid_started) < 1.0
        except psutil.NoSuchProcess:
            return False


class NotRemoved(CheckFailed):
    """A scratch directory could not be removed, which fails its exercise whatever the other checks say."""


@dataclass(frozen=True)
class Leftover:
    """A scratch directory whose owner is gone; ``marker`` None when it has none yet."""

    directory: Path
    marker: Marker | None


def scratch_root(settings: Settings) -> Path:
    """Return the directory of all scratch directories of this host."""
    return settings.state_dir / "scratch"


@contextmanager
def scratch(settings: Settings, exercise_id: str, name: str) -> Iterator[Workspace]:
    """Make an empty scratch directory; remove it, with all that runs in it, however the block ends.

    Raises NotRemoved when it cannot be removed.
    """
    root = scratch_root(settings)
    make_directory(root, settings.run_as)
    building = root / f"{_UNFINISHED}{os.getpid()}@{socket.gethostname()}-{name}"
    building.mkdir(mode=0o700)
    (building / MARKER).write_text(json.dumps(asdict(Marker.ours(exercise_id))), encoding="utf-8")
    set_owner(building, settings.run_as)
    directory = root / name
    building.rename(directory)
    try:
        workspace = Workspace(directory, directory / "data", settings.run_as)
        workspace.prepare()
        make_directory(workspace.data_dir, settings.run_as)
        with _renewed(directory / MARKER):
            yield workspace
    finally:
        remove(directory)


@contextmanager
def _renewed(marker: Path) -> Iterator[None]:
    """Renew the marker's time while the block runs."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            # A volume that is away for a while is not the end of the exercise.
            with contextlib.suppress(OSError):
                os.utime(marker)

    thread = threading.Thread(target=renew, name="scratch-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(RENEWAL_SECONDS)


def leftovers(settings: Settings) -> list[Leftover]:
    """Find scratch directories of this host whose process is gone, and of others whose lease is over.

    Only reads.
    """
    root = scratch_root(settings)
    left = []
    try:
        entries = sorted(root.iterdir())
    except (FileNotFoundError, PermissionError):
        return []
    for entry in entries:
        if not entry.is_dir() or entry.is_symlink():
            continue
        marker = Marker.read(entry)
        if _is_abandoned(entry, marker):
            left.append(Leftover(entry, marker))
    return left


def sweep(settings: Settings) -> list[Leftover]:
    """Remove what killed runs left, and nothing else; return it. Safe to repeat, and to run twice at once."""
    left = leftovers(settings)
    for leftover in left:
        if leftover.marker is None:
            # rmdir, not rmtree: without a marker only emptiness proves that it is ours to remove.
            with contextlib.suppress(OSError):
                (leftover.directory / MARKER).unlink(missing_ok=True)
                leftover.directory.rmdir()
        else:
            remove(leftover.directory)
    return left


def remove(directory: Path) -> None:
    """End the processes that work in ``directory`` and delete it. Raises NotRemoved if it stays.

    The marker is removed last, so that a killed removal is taken up again.
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

    processes = _processes(directory)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    def gone() -> bool:
        return not _processes(directory)

    if processes:
        try:
            wait_until(gone, END_SECONDS, f"the processes in {directory} end", interval=0.05)
        except Unavailable as error:
            raise NotRemoved(str(error)) from None


def _processes(directory: Path) -> list[psutil.Process]:
    import psutil

    text = str(directory)
    working = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            name = process.name()
            if not name.startswith(("postgres", "pgbackrest", "pg_", "sh")):
                continue
            cwd = process.cwd()
            arguments = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        inside = cwd == text or cwd.startswith(f"{text}/")
        if inside or any(_names(argument, text) for argument in arguments):
            working.append(process)
    return working


def _names(argument: str, directory: str) -> bool:
    # A connection string quotes the directory of the socket.
    _, named, rest = unquote(argument).partition(directory)
    return bool(named) and (not rest or rest[0] == "/")


def _is_abandoned(entry: Path, marker: Marker | None) -> bool:
    if marker is None:
        return entry.name.startswith(_UNFINISHED) and _is_unfinished_of_nobody(entry)
    if marker.host == socket.gethostname():
        return not marker.is_alive
    return marker.renewed and _is_old(entry / MARKER)


def _is_unfinished_of_nobody(entry: Path) -> bool:
    import psutil

    maker, _, rest = entry.name.removeprefix(_UNFINISHED).partition("@")
    # Earlier versions named no host.
    pid = maker.partition("-")[0]
    if rest and not rest.startswith(f"{socket.gethostname()}-"):
        is_gone = _is_old(entry)
    else:
        is_gone = pid.isdigit() and not psutil.pid_exists(int(pid))
    return is_gone and {inside.name for inside in entry.iterdir()} <= {MARKER}


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > LEASE_SECONDS
    except FileNotFoundError:
        return False  # removed by its owner just now
