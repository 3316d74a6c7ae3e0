"""Children never outlive us: followed, ended with all they started, given nothing of our environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ops_platform.clients import child_process
from ops_platform.clients.child_process import Launcher, Pace, Stalled
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError, Unavailable

SH = "/bin/sh"
WRITES = "exec 3>/dev/null; for i in 1 2 3 4 5 6 7 8; do printf %2000s x >&3; sleep 0.1; done"
SILENT = "sleep 3"


class Interrupted(BaseException):
    pass


pytestmark = pytest.mark.processes


def test_what_it_said_is_returned() -> None:
    ended = Launcher().run([SH, "-c", "echo out; echo err >&2; exit 7"])
    assert (ended.code, ended.stdout, ended.stderr) == (7, "out\n", "err\n")


def test_lines_come_one_by_one() -> None:
    lines: list[str] = []
    ended = Launcher().follow([SH, "-c", "echo a; echo b; echo err >&2"], lines.append)
    assert (ended.code, lines, ended.stderr) == (0, ["a", "b"], "err\n")


@pytest.mark.parametrize(
    "script",
    [
        "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done",
        WRITES,
    ],
    ids=["says", "writes"],
)
def test_a_program_that_gets_on_is_left_alone(script: str) -> None:
    assert Launcher().follow([SH, "-c", script], lambda line: None, Pace(0.4, 1000)).code == 0


def test_a_program_that_does_not_get_on_is_ended_with_all_below_it() -> None:
    lines: list[str] = []
    # A byte in a while is not enough.
    script = "sleep 100 & echo $!; while :; do printf x >&2; sleep 0.05; done"
    with pytest.raises(Stalled, match=r"did not get on for 0\.4 s and was stopped"):
        Launcher().follow([SH, "-c", script], lines.append, Pace(0.4, 1000))
    assert not psutil.pid_exists(int(lines[0]))


def test_a_line_now_and_then_is_no_progress() -> None:
    """A restore at a byte a second finishes one of many tiny files every other minute, for weeks."""
    script = "while :; do echo a file; sleep 0.1; done"
    with pytest.raises(Stalled):
        Launcher().follow([SH, "-c", script], lambda line: None, Pace(0.4, 1000, least_lines=20))


def test_the_time_of_a_listener_is_not_the_program_s() -> None:
    def listen(line: str) -> None:
        time.sleep(0.6)

    ended = Launcher().follow(
        [SH, "-c", "echo a; sleep 0.2; echo b"], listen, Pace(0.4, 1000, least_lines=20)
    )
    assert ended.code == 0


@pytest.mark.parametrize(("script", "stalls"), [(SILENT, True), (WRITES, False)], ids=["silent", "writes"])
def test_root_that_may_not_read_what_is_written_asks_the_program_s_account(
    monkeypatch: pytest.MonkeyPatch, script: str, stalls: bool
) -> None:
    """As in a container, where root may not read the counters of another account's processes."""
    refuse(monkeypatch, psutil.AccessDenied())
    told: list[str] = []
    pace = Pace(0.4, 1000, on_blind=lambda: told.append("blind"))
    if stalls:
        with pytest.raises(Stalled):
            Launcher().follow([SH, "-c", script], lambda line: None, pace)
    else:
        assert Launcher().follow([SH, "-c", script], lambda line: None, pace).code == 0
    assert told == []


def test_a_watch_that_cannot_see_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, AttributeError("io_counters"))
    told: list[str] = []
    pace = Pace(0.2, 1000, on_blind=lambda: told.append("blind"))
    assert Launcher().follow([SH, "-c", "sleep 0.5"], lambda line: None, pace).code == 0
    assert told == ["blind"]


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def io_counters(process: psutil.Process) -> None:
        raise error

    monkeypatch.setattr(psutil.Process, "io_counters", io_counters)


def test_much_on_stderr_does_not_stall_it() -> None:
    ended = Launcher().follow([SH, "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2"], lambda line: None)
    assert len(ended.stderr) == 1_000_000


def test_our_environment_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGBACKREST_REPO1_PATH", "/elsewhere")
    said = Launcher(environment={"HOME": "/somewhere"}).run(["env"]).stdout.splitlines()
    assert not [line for line in said if line.startswith(("PGBACKREST", "PYTEST"))]
    assert {"HOME=/somewhere", "TZ=UTC", "LANG=C.UTF-8"} <= set(said)


def test_a_missing_program_is_said() -> None:
    with pytest.raises(Unavailable, match="the program nothing-like-it is not on this machine"):
        Launcher().run(["nothing-like-it"])


def test_a_missing_user_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no system user nobody-like-it"):
        Launcher(run_as="nobody-like-it").run(["true"])


def test_the_time_is_over() -> None:
    with pytest.raises(Unavailable, match=r"sleep did not end within 0.2 s and was stopped"):
        Launcher().run(["sleep", "60"], timeout=0.2)


def test_an_interruption_ends_its_grandchildren_too(tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.extend(int(word) for word in line.split())
        raise Interrupted

    with pytest.raises(Interrupted):
        Launcher().follow([SH, "-c", "sleep 60 & echo $$ $!; wait"], interrupt)
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_what_ignores_term_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "TERM_SECONDS", 0.3)
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise Interrupted

    with pytest.raises(Interrupted):
        Launcher().follow([SH, "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done"], interrupt)
    assert not alive(pids[0])


def test_it_dies_with_a_worker_that_is_killed() -> None:
    script = (
        "from ops_platform.clients.child_process import Launcher\n"
        "Launcher().follow(['/bin/sh', '-c', 'echo $$; exec sleep 60'], lambda line: print(line, flush=True))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not alive(pid), 5, "the child is gone", interval=0.02)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
