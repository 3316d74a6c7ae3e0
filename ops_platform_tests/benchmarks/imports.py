"""What importing the definitions costs beside importing Dagster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from ops_platform_tests.benchmarks.measure import Report, Target, Timing, timed

DAGSTER = "import dagster"
OURS = "import ops_platform.definitions"
REPETITIONS = 7
LIMIT_SECONDS = 1.0


def run(say: Callable[[str], None]) -> Report:
    """A fresh interpreter for each import, turn by turn, with an empty environment."""
    seconds: dict[str, list[float]] = {DAGSTER: [], OURS: []}
    for statement in seconds:
        _import(statement)  # the first one reads from the disk and writes byte code
    for number in range(REPETITIONS):
        say(f"imports, {number + 1} of {REPETITIONS}")
        for statement, taken in seconds.items():
            taken.append(timed(lambda statement=statement: _import(statement)))  # type: ignore[misc]
    report = Report("Import of the definitions", base=DAGSTER)
    report.timings = [Timing(statement, tuple(taken)) for statement, taken in seconds.items()]
    added = report.timing(OURS).median - report.timing(DAGSTER).median
    report.targets = [Target("seconds added to import dagster", added, LIMIT_SECONDS, unit="s")]
    return report


def _import(statement: str) -> None:
    subprocess.run(
        [sys.executable, "-c", statement], check=True, env={"OPS_STATE_DIR": "/nonexistent"}, cwd="/"
    )
