"""``python -m ops_platform_tests.benchmarks``: a table of ratios, and ``bench.json``.

Ratios of this run on this machine, not absolute verdicts: a missed target is printed as such
and does not fail the command.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from ops_platform_tests.benchmarks import (
    agent,
    api,
    backup,
    erasure,
    export,
    imports,
    look,
    restore,
    scan,
    slo,
)
from ops_platform_tests.benchmarks.measure import Report, write

BENCHMARKS = ("imports", "agent", "look", "backup", "restore", "slo", "erasure", "scan", "export", "api")


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*BENCHMARKS, []], help="which (default: all)")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the numbers go")
    parser.add_argument("--quick", action="store_true", help="a small database, once: proves that it runs")
    arguments = parser.parse_args()
    # Ended from outside it still stops and removes what it started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, lambda number, frame: sys.exit(128 + number))
    chosen = arguments.only or BENCHMARKS
    console = Console(width=None if sys.stdout.isatty() else 120)

    def say(text: str) -> None:
        console.print(text, style="dim", highlight=False)

    reports: list[Report] = []
    if "imports" in chosen:
        reports.append(imports.run(say))
    if "agent" in chosen:
        reports.append(agent.run(say, quick=arguments.quick))
    if "look" in chosen:
        reports += look.run(say, quick=arguments.quick)
    if "backup" in chosen:
        small = backup.Sizes(scale=0.2, noise_bytes=50_000_000, repetitions=1, matrix=True)
        reports += backup.run(say, small if arguments.quick else backup.Sizes())
    if "restore" in chosen:
        reports += restore.run(say, quick=arguments.quick)
    if "slo" in chosen:
        reports += slo.run(say, quick=arguments.quick)
    if "erasure" in chosen:
        reports += erasure.run(say, quick=arguments.quick)
    if "scan" in chosen:
        reports += scan.run(say, quick=arguments.quick)
    if "export" in chosen:
        reports += export.run(say, quick=arguments.quick)
    if "api" in chosen:
        reports += api.run(say, quick=arguments.quick)
    console.print()
    for report in reports:
        report.show(console)
    write(arguments.json, reports)
    console.print(f"written to {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
