"""Processes of a stack whose supervisor is gone: found by their environment, ended properly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from ops_platform.local.supervision import STACK_ID

GRACE_SECONDS = 15
POSTGRES_SECONDS = 60
STORE_SECONDS = 45


def find(stack_id: str, pgbackrest_config: Path) -> list[psutil.Process]:
    """All live processes of the stack, whoever their parent is now, except this one."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.status() != psutil.STATUS_ZOMBIE and _belongs(process, stack_id, pgbackrest_config):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end(processes: Iterable[psutil.Process], log: Callable[[str], None]) -> None:
    """End them: first those that use PostgreSQL and S3, then PostgreSQL, S3 last.

    A postmaster gets a fast shutdown (SIGINT): its last WAL still reaches the repository.
    """
    alive = [process for process in processes if process.is_running()]
    postmasters = [process for process in alive if _is_postmaster(process)]
    backends = {child for parent in postmasters for child in _children(parent)}
    stores = [process for process in alive if _name(process) == "weed"]
    others = [process for process in alive if process not in {*postmasters, *backends, *stores}]
    for group, number, seconds in (
        (others, signal.SIGTERM, GRACE_SECONDS),
        (postmasters, signal.SIGINT, POSTGRES_SECONDS),
        (stores, signal.SIGTERM, STORE_SECONDS),
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
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)


def _belongs(process: psutil.Process, stack_id: str, pgbackrest_config: Path) -> bool:
    # pgBackRest's children get an environment from an allow-list: their configuration tells.
    return process.environ().get(STACK_ID) == stack_id or f"--config={pgbackrest_config}" in process.cmdline()


def _is_postmaster(process: psutil.Process) -> bool:
    try:
        parent = process.parent()
        return _name(process) == "postgres" and (parent is None or _name(parent) != "postgres")
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
