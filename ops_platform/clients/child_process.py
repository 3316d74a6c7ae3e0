"""Outside programs as child processes; neither they nor the processes that they start outlive us.

No program in particular is known here.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError, Unavailable

TERM_SECONDS = 5.0
_READ_SECONDS = 5.0
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a child that ended; a negative ``code`` is minus the signal's number."""

    code: int
    stdout: str
    stderr: str


class TimedOut(Unavailable):
    """A program was stopped since it had not ended in time."""


class Stalled(Unavailable):
    """A program was stopped since it did not get on."""


@dataclass(frozen=True)
class Pace:
    """The least that a program has to do in ``seconds``: say ``least_lines``, or write ``least_bytes``.

    ``on_blind`` is called once at the beginning where the system does not tell what it writes: then nothing
    but its end ends it.
    """

    seconds: float
    least_bytes: int
    least_lines: int = 1
    on_blind: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Launcher:
    """Starts programs as the user ``run_as`` (None: as ourselves), with ``environment`` alone.

    A child gets a process group of its own. The kernel sends it KILL when the thread that
    started it dies, also by SIGKILL.
    """

    run_as: str | None = None
    environment: Mapping[str, str] | None = None

    def find(self, program: str) -> str:
        """Return the program's path. Raises Unavailable when this machine does not have the program."""
        path = shutil.which(program, path=self._environment()["PATH"])
        if path is None:
            raise Unavailable(
                f"the program {program} is not on this machine: install it, or correct its path"
            )
        return path

    def run(self, command: Sequence[str], *, timeout: float | None = None, errors: str = "replace") -> Ended:
        """Run a program to its end and return its output.

        ``timeout`` is in seconds; ``errors``: what becomes of bytes of its stdout that are no UTF-8.
        An interruption of any kind, KeyboardInterrupt included, ends the child and its whole group before it
        is raised on. Raises Unavailable when the program is missing, TimedOut when the timeout has passed.
        """
        with self._child(command) as child:
            try:
                out, err = child.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                raise TimedOut(f"{command[0]} did not end within {timeout:g} s and was stopped") from None
            return Ended(child.returncode, out.decode("utf-8", errors=errors), _text(err))

    def follow(
        self, command: Sequence[str], on_line: Callable[[str], None], pace: Pace | None = None
    ) -> Ended:
        """Run a program to its end and pass each line of stdout to ``on_line`` as it comes.

        ``stdout`` of the result is empty. Interruptions, also by ``on_line``, end the child as in ``run``.
        Raises Stalled when it fell short of ``pace`` and was stopped.
        """
        with self._child(command) as child:
            assert child.stdout is not None  # noqa: S101 - both are pipes, see _start
            assert child.stderr is not None  # noqa: S101
            errors: list[bytes] = []
            reader = threading.Thread(target=_drain, args=(child.stderr, errors), daemon=True)
            reader.start()
            with _watched(child, pace, self) as watch:
                for line in child.stdout:
                    with watch.listening():
                        on_line(_text(line).rstrip("\n"))
            reader.join()
            if pace is not None and watch.stalled:
                raise Stalled(f"{command[0]} did not get on for {pace.seconds:g} s and was stopped")
            return Ended(child.wait(), "", _text(b"".join(errors)))

    @contextmanager
    def background(
        self,
        command: Sequence[str],
        log: Path,
        *,
        stop: signal.Signals = signal.SIGTERM,
        patience: float = 60.0,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a child for the duration of the block, its output appended to ``log``.

        At the end it gets the signal ``stop`` and ``patience`` seconds to exit; then, and when the
        block is interrupted, its whole group is ended. Raises Unavailable when it had to be killed.
        """
        with log.open("ab") as output:
            child = self._start(command, output)
        try:
            yield child
            child.send_signal(stop)
            child.wait(patience)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{command[0]} did not end within {patience:g} s and was killed") from None
        finally:
            end_group(child)

    @contextmanager
    def _child(self, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        child = self._start(command)
        try:
            yield child
        except BaseException:
            end_group(child)
            raise
        finally:
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()

    def _start(self, command: Sequence[str], output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        # KILL: a handler of TERM can be inherited as ignored, and pgBackRest was once seen to
        # outlive TERM; nobody is left to follow up. It is built to be killed, its workers end with its pipes.
        argv = [self.find("setpriv"), "--pdeathsig", "KILL", "--", self.find(command[0]), *command[1:]]
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=output or subprocess.PIPE,
            env=self._environment(),
            cwd="/",
            start_new_session=True,
            umask=0o077,
            **self._identity(),
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": _SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": "/", "TZ": "UTC", **(self.environment or {})}

    def _identity(self) -> dict[str, Any]:
        if self.run_as is None:
            return {}
        try:
            account = pwd.getpwnam(self.run_as)
        except KeyError:
            raise ConfigurationError(
                f"this machine has no system user {self.run_as}: install PostgreSQL or set OPS_RUN_AS_USER"
            ) from None
        if account.pw_uid == os.geteuid():
            return {}
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@dataclass
class _Watch:
    """Watch on the pace of a child, in a thread of its own."""

    child: subprocess.Popen[bytes]
    written: Callable[[], int | None]
    stalled: bool = False
    _moved_at: float = field(default_factory=time.monotonic)
    _lines: int = 0
    _listening: bool = False
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note that the program said a line, and that it cannot help the time that its listener takes."""
        self._lines += 1
        began, self._listening = time.monotonic(), True
        yield
        self._moved_at += time.monotonic() - began
        self._listening = False

    def end(self) -> None:
        """End the watch."""
        self._over.set()

    def run(self, pace: Pace) -> None:
        """Look until the end; end the child when it falls short."""
        noted, lines = self.written(), self._lines
        while not self._over.wait(min(1.0, pace.seconds / 10)):
            written = self.written()
            # What cannot be told is no standstill.
            moved = noted is None or written is None or not noted <= written < noted + pace.least_bytes
            if moved or self._lines >= lines + pace.least_lines:
                noted, lines = written, self._lines
                self._moved_at = time.monotonic()
            elif time.monotonic() - self._moved_at > pace.seconds and not self._listening:
                self.stalled = True
                end_group(self.child)
                return


@contextmanager
def _watched(child: subprocess.Popen[bytes], pace: Pace | None, launcher: Launcher) -> Iterator[_Watch]:
    watch = _Watch(child, lambda: _written(child.pid, launcher))
    if pace is None:
        yield watch
        return
    if watch.written() is None and child.poll() is None:
        pace.on_blind()
    thread = threading.Thread(target=watch.run, args=(pace,), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()


def _written(pid: int, launcher: Launcher) -> int | None:
    """Sum up the bytes that a process and those below it have written; None when that cannot be told."""
    import psutil

    pids = [pid]
    try:
        top = psutil.Process(pid)
        family = (top, *top.children(recursive=True))
        pids = [process.pid for process in family]
        # Characters, not blocks: on a file system in memory no block is ever written.
        return sum(process.io_counters().write_chars for process in family)
    except psutil.AccessDenied:
        # Root without CAP_SYS_PTRACE, as in many containers: the account that they run as may read it.
        return _written_as_told(launcher, pids)
    except (psutil.Error, AttributeError, RuntimeError):
        return None


def _written_as_told(launcher: Launcher, pids: Sequence[int]) -> int | None:
    """Let the programs' own account read what ``_written`` may not."""
    try:
        ended = launcher.run(["cat", *(f"/proc/{pid}/io" for pid in pids)], timeout=_READ_SECONDS)
    except (Unavailable, OSError):
        return None
    counted = [int(line.split()[1]) for line in ended.stdout.splitlines() if line.startswith("wchar:")]
    return sum(counted) if counted else None


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Send TERM to the child's process group and KILL after TERM_SECONDS to the rest; reap the child."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        if _wait_gone(child):
            break
    child.wait()


def _wait_gone(child: subprocess.Popen[bytes]) -> bool:
    def gone() -> bool:
        child.poll()
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        return wait_until(gone, TERM_SECONDS, "the process group ends", interval=0.02)
    except Unavailable:
        return False


def _drain(stream: IO[bytes], chunks: list[bytes]) -> None:
    chunks.append(stream.read())


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
