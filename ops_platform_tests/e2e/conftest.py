"""One whole embedded stack for the end-to-end tests, started as an operator would: ``ops-platform up``.

While writing tests, ``OPS_E2E_ATTACH=<state directory>`` uses a stack that is up already and leaves it so.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from ops_platform.clients.dagster import Dagster
from ops_platform.local import ports
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import short_directory

PORTS = 32
COMMAND = [sys.executable, "-c", "from ops_platform.cli import main; main()"]


def free_base() -> int:
    """The first of PORTS consecutive free ports below the ephemeral range."""
    choices = random.sample(range(18000, 30000, PORTS), 40)
    return next(base for base in choices if all(ports.is_free(base + n) for n in range(PORTS)))


@dataclass(frozen=True)
class RunningStack:
    """A started stack and the ways to it that its users have."""

    environ: dict[str, str]

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    @property
    def dagster(self) -> Dagster:
        return Dagster(self.settings.require("dagster_url"))

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """The console script, with nothing exported but state directory and ports."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ops(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of the ops database, as an operator reads them."""
        with psycopg.connect(self.settings.require("database_url"), row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    attached = os.environ.get("OPS_E2E_ATTACH")
    state = Path(attached) if attached else short_directory()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", str(state)),
        "OPS_STATE_DIR": str(state),
    }
    running = RunningStack(environ)
    if attached:
        yield running
        return
    environ |= {"OPS_PORT_BASE": str(free_base()), "OPS_DEMO_SCALE": "0.05"}
    try:
        started = running.run("up", timeout=400)
        assert started.returncode == 0, started.stderr[-2000:] + started.stdout[-2000:]
        yield running
    finally:
        stopped = running.run("down")
        shutil.rmtree(Path(state), ignore_errors=True)
    assert stopped.returncode == 0, stopped.stderr
