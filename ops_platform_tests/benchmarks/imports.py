"""What importing the definitions costs beside importing Dagster, in CPU time: other load adds less to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ops_platform
from ops_platform_tests.benchmarks.measure import Report, Target, Timing

DAGSTER = "import dagster"
OURS = "import ops_platform.definitions, after it"
REPETITIONS = 7
LIMIT_SECONDS = 0.8

# Both in one process: ours alone is what is added, whatever the machine does in the meantime.
PROGRAM = """
import time
began = time.process_time()
import dagster
between = time.process_time()
import ops_platform.definitions
print(between - began, time.process_time() - between)
"""


def run(say: Callable[[str], None]) -> Report:
    """A fresh interpreter with an empty environment for each repetition; CPU seconds of its own."""
    taken: dict[str, list[float]] = {DAGSTER: [], OURS: []}
    _imports()  # the first one writes byte code
    for number in range(REPETITIONS):
        say(f"imports, {number + 1} of {REPETITIONS}")
        for statement, seconds in zip(taken, _imports(), strict=True):
            taken[statement].append(seconds)
    report = Report("Import of the definitions, CPU time", base=DAGSTER)
    report.timings = [Timing(statement, tuple(seconds)) for statement, seconds in taken.items()]
    added = report.timing(OURS).median
    report.targets = [Target("CPU seconds added to import dagster", added, LIMIT_SECONDS, unit="s")]
    return report


def _imports() -> tuple[float, float]:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={"OPS_STATE_DIR": "/nonexistent"},
        cwd=Path(ops_platform.__file__).parents[1],
    )
    dagster, ours = map(float, ended.stdout.split())
    return dagster, ours
