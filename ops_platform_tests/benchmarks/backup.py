"""A full backup four ways, side by side: cp, pg_basebackup, bare pgBackRest, the Dagster run.

Targets: the run costs at most 1.05 times bare pgBackRest, or 2 s more, whichever is larger; a
backup to encrypted S3 over TLS reaches 0.75 times the rate of pg_basebackup to the local disk
with the same codec. The matrix says which codec, level and process count this machine likes best.
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops_platform_tests.benchmarks.backup_site import BackupSite, backup_site
from ops_platform_tests.benchmarks.measure import Report, Target, Timing, timed

COPY = "cp and sync"
BASEBACKUP_SERVER = "pg_basebackup server-lz4:6, local"
BASEBACKUP_CLIENT = "pg_basebackup client-lz4:6, local"
BARE = "bare pgBackRest"
"""Full, the default codec, to encrypted S3 over TLS."""
RUN = "Dagster run, start to end"
COMMAND = "dagster job execute, with Python's start"

RUN_FACTOR, RUN_SECONDS = 1.05, 2.0
SPEED = 0.75
CODECS = (("lz4", 1), ("lz4", 6), ("zst", 1), ("zst", 3))
PROCESSES = (1, 2, 4)


@dataclass(frozen=True)
class Sizes:
    """How much is backed up, and how often."""

    scale: float = 8.0
    noise_bytes: int = 1_250_000_000
    repetitions: int = 3
    matrix: bool = True


def run(say: Callable[[str], None], sizes: Sizes) -> list[Report]:
    with backup_site(sizes.scale, sizes.noise_bytes, say) as site:
        reports = [_side_by_side(site, sizes, say)]
        if sizes.matrix:
            reports.append(_matrix(site, say))
        return reports


def _side_by_side(site: BackupSite, sizes: Sizes, say: Callable[[str], None]) -> Report:
    size = site.size()
    seconds: dict[str, list[float]] = {}
    steps: list[dict[str, float]] = []

    def add(name: str, taken: float) -> None:
        seconds.setdefault(name, []).append(taken)
        say(f"{name}: {taken:.1f} s")

    def bare() -> None:
        add(BARE, timed(lambda: site.pgbackrest("--type=full", "backup")))

    def dagster() -> None:
        add(COMMAND, _dagster_run(site))
        add(RUN, site.newest_run_seconds())
        steps.append(site.newest_run_steps())

    ways = [bare, dagster]
    # Turn by turn, so that what else the machine does falls on all of them.
    for _ in range(sizes.repetitions):
        site.checkpoint()
        add(COPY, _copy(site))
        add(BASEBACKUP_SERVER, _basebackup(site, "server-lz4:6"))
        add(BASEBACKUP_CLIENT, _basebackup(site, "client-lz4:6"))
        for way in ways:
            way()
            site.forget_old_sets()
        ways.reverse()  # neither is always the first after the copies

    report = Report(f"Full backup of {size / 1e9:.2f} GB", base=BARE)
    report.timings = [Timing(name, tuple(taken), size) for name, taken in seconds.items()]
    pgbackrest, run = report.timing(BARE).median, report.timing(RUN).median
    basebackup = min(report.timing(BASEBACKUP_SERVER).median, report.timing(BASEBACKUP_CLIENT).median)
    allowed = max(RUN_FACTOR, 1 + RUN_SECONDS / pgbackrest)
    report.targets = [
        Target("Dagster run over bare pgBackRest", run / pgbackrest, round(allowed, 3)),
        Target(
            "pgBackRest's rate over the faster pg_basebackup's",
            basebackup / pgbackrest,
            SPEED,
            at_least=True,
        ),
        Target(
            "the run's rate over the faster pg_basebackup's",
            basebackup / run,
            SPEED,
            at_least=True,
        ),
    ]
    defaults = site.context.stanza
    report.facts = {
        "bytes": size,
        "incompressible_bytes": sizes.noise_bytes,
        "cores": os.cpu_count(),
        "codec": f"{defaults.compression.type}-{defaults.compression.level}",
        "process_max": defaults.process_max,
        "steps_of_the_runs": steps,
    }
    medians = {name: statistics.median(step[name] for step in steps) for name in steps[0]}
    report.notes = [
        f"pgBackRest: {report.facts['codec']}, {defaults.process_max} processes, S3 over TLS",
        f"{sizes.noise_bytes / size:.0%} of the bytes are incompressible; {os.cpu_count()} cores",
        "the run's steps, seconds: " + ", ".join(f"{name} {taken:.1f}" for name, taken in medians.items()),
    ]
    return report


def _matrix(site: BackupSite, say: Callable[[str], None]) -> Report:
    size = site.size()
    timings = []
    repository: dict[str, int] = {}
    for (codec, level), processes in itertools.product(CODECS, PROCESSES):
        name = f"{codec}-{level}, {processes} process{'es' if processes > 1 else ''}"
        options = (f"--compress-type={codec}", f"--compress-level={level}", f"--process-max={processes}")
        taken = timed(lambda options=options: site.pgbackrest(*options, "--type=full", "backup"))  # type: ignore[misc]
        newest = site.context.pgbackrest.info().sets[-1]
        repository[name] = newest.repo_delta
        timings.append(Timing(name, (taken,), size))
        say(f"{name}: {taken:.1f} s, {repository[name] / 1e9:.2f} GB in the repository")
        site.forget_old_sets()
    defaults = site.context.stanza
    base = f"{defaults.compression.type}-{defaults.compression.level}, {defaults.process_max} processes"
    report = Report("Codec, level and processes (once each)", base=base, timings=timings)
    best = min(timings, key=lambda timing: timing.median)
    report.facts = {"best": best.name, "repository_bytes": repository}
    report.notes = [
        f"best on this machine: {best.name}, {report.ratio(best):.2f} times the default's time, "
        f"{repository[best.name] / 1e9:.2f} GB in the repository against {repository[base] / 1e9:.2f} GB"
        if base in repository
        else f"best on this machine: {best.name}"
    ]
    return report


def _copy(site: BackupSite) -> float:
    target = site.scratch / "copy"

    def work() -> None:
        subprocess.run(["cp", "--archive", str(site.product.data_dir), str(target)], check=True)
        subprocess.run(["sync", "--file-system", str(target)], check=True)

    try:
        return timed(work)
    finally:
        shutil.rmtree(target)


def _basebackup(site: BackupSite, compress: str) -> float:
    target = site.product.account.directory(site.scratch / "basebackup")
    command = [
        str(Path(site.product.programs.path("postgres")).with_name("pg_basebackup")),
        f"--host={site.product.socket_dir}",
        f"--port={site.product.port}",
        "--username=postgres",
        f"--pgdata={target}",
        "--format=tar",
        "--checkpoint=fast",
        "--wal-method=none",
        f"--compress={compress}",
    ]

    def work() -> None:
        subprocess.run(
            command,
            check=True,
            stderr=subprocess.DEVNULL,
            env=site.product.process_environment(),
            cwd="/",
            **site.product.account.subprocess_arguments(),
        )

    try:
        return timed(work)
    finally:
        shutil.rmtree(target)


def _dagster_run(site: BackupSite) -> float:
    config = site.scratch / "run.yaml"
    config.write_text(f"stanza: {site.context.stanza.name}\n", encoding="utf-8")
    arguments = ("job", "execute", "-m", "ops_platform.definitions", "-j", "backup_full", "-c", str(config))
    return timed(lambda: site.dagster(*arguments))
