"""What the agent of many stanzas takes, beside that of one: CPU, memory, threads, sessions.

Its repositories hold nothing, so what looking at them costs is in ``look``.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops_platform_tests.agent.many_stanzas import running_many
from ops_platform_tests.benchmarks.measure import Report, Target, Timing
from ops_platform_tests.services import Services

STANZAS = (1, 100)
SECONDS = 60.0


@dataclass(frozen=True)
class Taken:
    stanzas: int
    cpu_share: float
    memory_mib: float
    threads: int
    sessions: int


def run(say: Callable[[str], None], *, quick: bool = False) -> Report:
    """An agent of one stanza and one of a hundred, each for a minute after its first round."""
    counts = (1, 3) if quick else STANZAS
    taken = [_measure(say, count, 5.0 if quick else SECONDS) for count in counts]
    return _report(taken)


def _measure(say: Callable[[str], None], stanzas: int, seconds: float) -> Taken:
    say(f"an agent of {stanzas} stanzas, for {seconds:g} s")
    with (
        closing(Services.start()) as services,
        tempfile.TemporaryDirectory() as directory,
        running_many(services, Path(directory), stanzas) as many,
    ):
        many.wait_for_heartbeats()
        process = psutil.Process(many.agent.pid)
        before = process.cpu_times()
        threading.Event().wait(seconds)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        return Taken(
            stanzas,
            used / seconds,
            process.memory_info().rss / (1 << 20),
            process.num_threads(),
            many.sessions(),
        )


def _report(taken: Sequence[Taken]) -> Report:
    report = Report("The agent, CPU seconds a minute", base=_named(taken[0]))
    report.timings = [Timing(_named(each), (each.cpu_share * 60,)) for each in taken]
    most = taken[-1]
    report.targets = [
        Target(f"threads with {most.stanzas} stanzas", most.threads, 40, unit=""),
        Target(f"sessions in the ops database with {most.stanzas} stanzas", most.sessions, 20, unit=""),
    ]
    report.notes = [f"{each.stanzas} stanzas: {each.memory_mib:.0f} MiB" for each in taken]
    return report


def _named(taken: Taken) -> str:
    return f"{taken.stanzas} stanza{'s' if taken.stanzas > 1 else ''}"
