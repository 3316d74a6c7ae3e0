"""A worker of a duty as a process of its own, which a test kills: ``backup.worker``, ``dr.worker``.

It is forked from a process that has loaded the workers' modules once: to load them takes a second of CPU, and
the tests start a hundred. It has the environment of its settings and nothing of the test's: no connection, no
thread.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import TextIO

from ops_platform.settings import Settings

_LOADED = [
    "ops_platform_tests.backup.proof.worker",
    "ops_platform_tests.backup.worker",
    "ops_platform_tests.dr.worker",
    "ops_platform_tests.gdpr.erasure_worker",
    "ops_platform_tests.gdpr.export_worker",
    "ops_platform_tests.slo.worker",
    "ops_platform_tests.worker_libraries",
]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(_LOADED)


@dataclass(frozen=True)
class Worker:
    """A running worker; ``stdout`` is what it says."""

    process: ForkServerProcess
    stdout: TextIO

    def kill(self) -> None:
        self.process.kill()

    def wait(self) -> int:
        """Wait for its end; return its exit code, or the negative number of the signal that killed it."""
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode


@contextmanager
def worker_process(module: str, settings: Settings, *arguments: str) -> Iterator[Worker]:
    """``python -m module arguments``, with the environment of ``settings``; killed when the block ends."""
    environment = {name: value.get_secret_value() for name, value in settings.environ.items()}
    reader, writer = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_run, args=(module, environment, arguments, writer))
    process.start()
    writer.close()
    with os.fdopen(os.dup(reader.fileno()), encoding="utf-8") as stdout:
        reader.close()
        worker = Worker(process, stdout)
        try:
            yield worker
        finally:
            worker.kill()
            worker.wait()


def _run(module: str, environment: Mapping[str, str], arguments: tuple[str, ...], says: Connection) -> None:
    os.dup2(says.fileno(), 1)
    says.close()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def wait_for(process: Worker, text: str) -> None:
    """Read what it says until ``text`` is in it."""
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the worker ended without saying {text!r}")
