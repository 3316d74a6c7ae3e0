"""What ``up`` refuses before it starts anything: one line, exit 2, nothing left behind."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_platform_tests.console import Console
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.services


@pytest.fixture
def refused() -> Iterator[RunningStack]:
    stack = RunningStack()
    yield stack
    assert stack.processes() == []
    stack.close()


@pytest.fixture
def console(
    refused: RunningStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Console:
    return Console(refused.environment(), monkeypatch, capsys)


def _line(console: Console, **environ: str) -> str:
    done = console.run("up", **environ)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_taken_port(refused: RunningStack, console: Console) -> None:
    with socket.create_server(("127.0.0.1", refused.base + 3)):
        line = _line(console)
    assert f"port {refused.base + 3} for ops is taken by" in line
    assert f"pid {os.getpid()}" in line
    assert "OPS_PORT_BASE" in line


def test_a_base_that_is_no_number(console: Console) -> None:
    assert "OPS_PORT_BASE must be a number, not 'http'" in _line(console, OPS_PORT_BASE="http")


def test_days_of_history_that_prometheus_does_not_keep(console: Console) -> None:
    for days in ("400", "-1", "1.5", "nan"):
        assert "OPS_DEMO_HISTORY_DAYS must be a whole number" in _line(console, OPS_DEMO_HISTORY_DAYS=days)


def test_a_state_directory_too_long_for_sockets(refused: RunningStack, console: Console) -> None:
    line = _line(console, OPS_STATE_DIR=str(refused.state_dir / ("x" * 100)))
    assert "too long for Unix sockets" in line
    assert "OPS_STATE_DIR" in line


def test_a_system_user_that_does_not_exist(console: Console) -> None:
    if os.geteuid() == 0:
        assert "no-such-user" in _line(console, OPS_RUN_AS_USER="no-such-user")


def test_a_state_directory_that_postgres_cannot_reach(console: Console) -> None:
    if os.geteuid() == 0:
        hidden = Path(tempfile.mkdtemp(prefix="ops", dir="/tmp"))
        try:
            assert "cannot reach" in _line(console, OPS_STATE_DIR=str(hidden / "state"))
        finally:
            shutil.rmtree(hidden)


def test_a_state_directory_that_cannot_be_made(refused: RunningStack, console: Console) -> None:
    file = refused.state_dir / "file"
    file.touch()
    assert "cannot prepare the state directory" in _line(console, OPS_STATE_DIR=str(file / "state"))


def test_a_missing_program(console: Console) -> None:
    line = _line(console, OPS_PGBACKREST_BINARY="/nowhere/pgbackrest")
    assert "/nowhere/pgbackrest" in line


def test_a_lost_data_directory_is_not_replaced_by_an_empty_cluster(
    refused: RunningStack, console: Console
) -> None:
    # It is written once both clusters were made.
    (refused.state_dir / "environment").touch()
    for line in (_line(console), console.run("up", "product-postgres").stderr):
        assert "the data directory of product is lost" in line
        assert f"restore --stanza product --to {refused.state_dir}/postgres/product --latest" in line
    assert not (refused.state_dir / "postgres" / "product").exists()


def test_a_single_service_of_no_stack(console: Console) -> None:
    done = console.run("up", "redis")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "there is no stack" in done.stderr


def test_without_a_stack_the_other_commands_say_so(console: Console) -> None:
    assert console.run("status").returncode == 1
    env = console.run("env")
    assert env.returncode == 2
    assert "ops-platform up" in env.stderr
    down = console.run("down")
    assert down.returncode == 0
    assert "nothing runs" in down.stdout
