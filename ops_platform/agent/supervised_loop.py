"""Supervised loops: failures isolated, backed off and counted, stuck steps cut loose.

A loop has a thread of its own, or shares those of a crew. Nothing here knows what a loop does;
``loops.loop_registry`` makes the loops.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import psycopg

from ops_platform.agent.crew import Crew
from ops_platform.clients.safe_errors import describe

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
Condition = Literal["starting", "healthy", "failing", "stuck"]


def _nothing_to_cut() -> None:
    """Do nothing: the loop has no connection to close."""


@dataclass(frozen=True)
class Loop:
    """A loop that calls ``step`` every ``every`` seconds; the step may raise.

    A step that takes longer than ``patience`` seconds is stuck: ``cut`` is called from another
    thread and must make it fail (close its connections).
    """

    name: str
    every: float
    step: Callable[[], None]
    patience: float = 60.0
    cut: Callable[[], None] = _nothing_to_cut
    crew: str | None = None
    """The crew whose threads it shares; None: it has one of its own."""

    @property
    def stale_after(self) -> float:
        """Seconds without a good step after which the loop counts as down."""
        return max(60.0, 4 * self.every)


@dataclass(frozen=True)
class LoopState:
    """State of a loop; times are Unix seconds."""

    condition: Condition = "starting"
    runs: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_success_at: float | None = None
    step_started_at: float | None = None
    """None while the loop waits for its next turn."""
    reason: str = ""
    """The last failure in one line; empty after a success."""


@dataclass
class _Running:
    loop: Loop
    state: LoopState = field(default_factory=LoopState)
    step_began: float | None = None
    """Monotonic; wall clocks jump."""


class Supervisor:
    """Runner of loops until ``stop``; the main thread calls ``tend`` about every second."""

    def __init__(self, loops: Iterable[Loop], crews: Mapping[str, int] | None = None) -> None:
        """``crews``: the number of threads of each crew that loops share."""
        self._running = {loop.name: _Running(loop) for loop in loops}
        self._lock = threading.Lock()
        self._attempted = threading.Event()
        sizes, members = dict(crews or {}), dict[str, list[_Running]]()
        for running in self._running.values():
            name = running.loop.crew or f"loop {running.loop.name}"
            members.setdefault(name, []).append(running)
            if running.loop.crew is None:
                sizes[name] = 1
        self._crews = [(its, Crew(name, sizes[name], its, self._turn)) for name, its in members.items()]

    @property
    def loops(self) -> list[Loop]:
        """All loops, in the order given."""
        return [running.loop for running in self._running.values()]

    def start(self) -> None:
        """Start the threads."""
        for _, crew in self._crews:
            crew.start()
        if not self._running:
            self._attempted.set()

    def stop(self, timeout: float) -> list[str]:
        """Ask all loops to end; return the names of those that have not within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        for _, crew in self._crews:
            crew.stop()
        return [running.loop.name for _, crew in self._crews for running in crew.join(deadline)]

    def wait_for_first_round(self, timeout: float) -> bool:
        """Wait until every loop has finished a first step, well or not; False after ``timeout`` seconds."""
        return self._attempted.wait(timeout)

    def states(self) -> dict[str, LoopState]:
        """Read the state of each loop by its name."""
        with self._lock:
            return {name: running.state for name, running in self._running.items()}

    def tend(self) -> None:
        """Cut stuck steps loose, start threads again that ended without being asked to."""
        for members, crew in self._crews:
            stuck = [running for running in members if self._is_stuck(running)]
            for running in stuck:
                self._cut(running)
            for running in crew.tend(len(stuck)):
                self._failed(running, "its thread ended", running.state.step_started_at or time.time())
                crew.put(running, 0.0)

    def _turn(self, running: _Running) -> float:
        """Run one step; return the seconds until the next."""
        began, started_at = time.monotonic(), time.time()
        with self._lock:
            running.step_began = began
            running.state = replace(running.state, step_started_at=started_at)
        try:
            running.loop.step()
        except (
            Exception
        ) as error:  # a loop must outlive whatever its step raises; nothing is lost: it is told below
            self._failed(running, describe(error), started_at)
            return pause_after(running.state.failures_in_a_row, running.loop.every)
        self._succeeded(running)
        return max(0.0, running.loop.every - (time.monotonic() - began))

    def _succeeded(self, running: _Running) -> None:
        recovered = running.state.failures_in_a_row
        with self._lock:
            running.step_began = None
            state = running.state
            running.state = LoopState(
                condition="healthy", runs=state.runs + 1, failures=state.failures, last_success_at=time.time()
            )
        if recovered:
            log.info("%s: works again after %d failures", running.loop.name, recovered)
        self._note_first_round()

    def _failed(self, running: _Running, reason: str, started_at: float) -> None:
        with self._lock:
            running.step_began = None
            state = running.state
            running.state = LoopState(
                condition="failing",
                runs=state.runs + 1,
                failures=state.failures + 1,
                failures_in_a_row=state.failures_in_a_row + 1,
                last_success_at=state.last_success_at,
                reason=reason,
            )
        took = time.time() - started_at
        log.warning(
            "%s: %s (failure %d in a row, %.1f s)",
            running.loop.name,
            reason,
            running.state.failures_in_a_row,
            took,
        )
        self._note_first_round()

    def _note_first_round(self) -> None:
        if not self._attempted.is_set() and all(r.state.runs for r in self._running.values()):
            self._attempted.set()

    def _is_stuck(self, running: _Running) -> bool:
        began = running.step_began
        return began is not None and time.monotonic() - began > running.loop.patience

    def _cut(self, running: _Running) -> None:
        name = running.loop.name
        if running.state.condition != "stuck":
            log.error("%s: stuck for more than %.0f s, cutting its connections", name, running.loop.patience)
        with self._lock:
            running.state = replace(
                running.state, condition="stuck", reason=f"no end within {running.loop.patience:.0f} s"
            )
        try:
            running.loop.cut()
        except (OSError, psycopg.Error) as error:
            log.warning("%s: cannot cut its connections: %s", name, describe(error))


def pause_after(failures_in_a_row: int, every: float) -> float:
    """Compute the seconds to wait after the n-th failure in a row: 1, 2, 4 ... 30.

    It begins with 2 for loops that turn every two seconds or more rarely.

    A quick loop is never slowed down beyond 30 s; a slow one is tried again long before its next turn.
    """
    return min(
        LONGEST_PAUSE_SECONDS,
        max(FIRST_PAUSE_SECONDS, min(every, 2.0)) * 2.0 ** min(failures_in_a_row - 1, 8),
    )
