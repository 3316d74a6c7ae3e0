"""A whole embedded stack for tests, driven through the console script as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import yaml

from ops_platform import files
from ops_platform.environment import read_environment_file
from ops_platform.local.components import PORT_NAMES
from ops_platform.local.host.layout import Layout
from ops_platform.local.supervision import leftovers
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.dagster_ui import DagsterUi
from ops_platform_tests.ports import free_block
from ops_platform_tests.services import run_as, short_directory

SCALE = "0.05"
"""Demo data of a test's stack: some megabytes, so that its backups take seconds."""
HISTORY_DAYS = 2
"""Of the demo's past: enough to count, in seconds."""
PRODUCTION_BYTES = 10 << 30
"""Declared in a test's stack: its few megabytes are mostly small files, whose pace says little of 100 GB."""
CONSOLE_SCRIPT = Path(sys.executable).parent / "ops-platform"


@dataclass
class RunningStack:
    """A stack of its own state directory and ports. ``up()`` starts it; ``close()`` removes it."""

    state_dir: Path = field(default_factory=short_directory)
    base: int = field(default_factory=lambda: free_block(len(PORT_NAMES)))
    history_days: int = HISTORY_DAYS
    """0 where no test asks for the demo's past: counting it takes a core for half a minute."""

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(Path.home()),
            "LANG": "C.UTF-8",
            "OPS_STATE_DIR": str(self.state_dir),
            "OPS_PORT_BASE": str(self.base),
            "OPS_DEMO_SCALE": SCALE,
            "OPS_DEMO_HISTORY_DAYS": str(self.history_days),
            "OPS_CONFIG_DIR": str(self._config()),
            **(extra or {}),
        }

    def _config(self) -> Path:
        """The default configuration with a smaller production, beside the state directory."""
        directory = self.state_dir / "config"
        if not directory.exists():
            shutil.copytree(files.default_config_dir(), directory)
            default = files.default_config_dir() / "backups.yaml"
            document = yaml.safe_load(default.read_text(encoding="utf-8"))
            document["defaults"]["production_size_bytes"] = PRODUCTION_BYTES
            (directory / "backups.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        return directory

    def run(
        self, *arguments: str, extra: Mapping[str, str] | None = None, timeout: float = 280
    ) -> subprocess.CompletedProcess[str]:
        """``ops-platform ARGUMENTS``; never raises for its exit code."""
        return subprocess.run(
            [str(CONSOLE_SCRIPT), *arguments],
            env=self.environment(extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd="/",
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        done = self.run("up")
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self) -> dict[str, dict[str, Any]]:
        """Each service's status by name."""
        done = self.run("status", "--json")
        return {row["service"]: row for row in json.loads(done.stdout)}

    def pids(self) -> dict[str, int | None]:
        return {name: row["pid"] for name, row in self.status().items()}

    @property
    def settings(self) -> Settings:
        """Settings as ``ops-platform env`` gives them to an operator."""
        return load_settings(read_environment_file(self.state_dir / "environment"))

    @cached_property
    def dagster(self) -> DagsterUi:
        """The running webserver's GraphQL."""
        return DagsterUi(self.settings.require("dagster_url"), token=self.settings.dagster_token)

    @property
    def layout(self) -> Layout:
        return Layout(self.state_dir.resolve(), run_as())

    def processes(self) -> list[psutil.Process]:
        """Every live process of this stack."""
        file = self.layout.stack_id_file
        if not file.exists():
            return []
        return leftovers.find(file.read_text(encoding="utf-8").strip(), self.layout)

    def kill_everything(self) -> None:
        """Kill -9 of all its processes at once, supervisor first, as a crash of the machine would."""
        victims = sorted(self.processes(), key=lambda process: not is_supervisor(process))
        for process in victims:
            # Some are short (an archive-push), and PostgreSQL's children follow their parent.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(victims, timeout=20)

    def close(self) -> None:
        """Remove it without ceremony: what ``down`` does is tested where it is meant."""
        while self.processes():
            self.kill_everything()
        shutil.rmtree(self.state_dir, ignore_errors=True)


def is_supervisor(process: psutil.Process) -> bool:
    # Not by process id: after the numbers have wrapped, the supervisor's is not the lowest.
    return "supervisor.supervisord" in command_line(process)


def command_line(process: psutil.Process) -> list[str]:
    """Read a process's arguments; none of one that has ended since it was listed."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
