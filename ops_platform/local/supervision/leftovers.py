"""Processes of a stack whose supervisor is gone: found by their environment, ended properly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from ops_platform.local.host import Layout
from ops_platform.local.supervision.supervisord import STACK_ID

AFTER_KILL_SECONDS = 15


def find(stack_id: str, layout: Layout) -> list[psutil.Process]:
    """Find all live processes of the stack, whoever their parent is now, except this one."""
    config, clusters = f"--config={layout.pgbackrest_config}", layout.postgres_data("x").parent
    processes = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.status() != psutil.STATUS_ZOMBIE and _belongs(process, stack_id, config, clusters):
                processes.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return processes


def end(processes: Iterable[psutil.Process], log: Callable[[str], None]) -> None:
    """End processes: first those that use PostgreSQL and S3, then PostgreSQL, S3 last.

    A postmaster gets a fast shutdown (SIGINT): its last WAL still reaches the repository. Its
    children end with it; those whose postmaster is gone already have nothing to lose.
    """
    alive = [process for process in processes if process.is_running()]
    postgres = [process for process in alive if _name(process) == "postgres"]
    postmasters = [process for process in postgres if _is_postmaster(process)]
    children = {child for parent in postmasters for child in _children(parent)}
    stores = [process for process in alive if _name(process) == "weed"]
    for group, number, seconds in (
        (
            [process for process in alive if process not in {*postgres, *stores, *children}],
            signal.SIGTERM,
            15,
        ),
        (postmasters, signal.SIGINT, 30),
        ([process for process in postgres if process not in {*postmasters, *children}], signal.SIGKILL, 5),
        (stores, signal.SIGTERM, 45),
    ):
        if group:
            log(f"ending {len(group)} left over: {', '.join(sorted({_name(process) for process in group}))}")
            _end(group, number, seconds)


def _end(group: list[psutil.Process], number: signal.Signals, seconds: float) -> None:
    for process in group:
        _send(process, number)
    _, alive = psutil.wait_procs(group, timeout=seconds)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=AFTER_KILL_SECONDS)


def _belongs(process: psutil.Process, stack_id: str, config: str, clusters: Path) -> bool:
    # pgBackRest's children get an environment from an allow-list: their configuration shows it.
    if process.environ().get(STACK_ID) == stack_id or config in process.cmdline():
        return True
    # PostgreSQL's children write their titles over the environment: their directory shows it.
    return process.name() == "postgres" and Path(process.cwd()).parent == clusters


def _is_postmaster(process: psutil.Process) -> bool:
    try:
        return "-D" in process.cmdline()  # its children's titles say what they do
    except psutil.NoSuchProcess:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return "ended"


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
