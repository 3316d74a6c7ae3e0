"""A worker of a duty as a process of its own, which a test kills: ``backup.worker``, ``dr.worker``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ops_platform.settings import Settings


@contextmanager
def worker_process(module: str, settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``python -m module arguments``, with the environment of ``settings``; killed when the block ends."""
    environment = {name: value.get_secret_value() for name, value in settings.environ.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read what it says until ``text`` is in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the worker ended without saying {text!r}")
