"""Threads that take turns at many loops: none is forgotten, none is held up by one that is stuck."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from ops_platform.agent.crew import Crew
from ops_platform.agent.supervised_loop import Loop, Supervisor
from ops_platform.clients.waiting import wait_until


def threads_of(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_few_threads_take_turns_at_many_loops() -> None:
    turns: Counter[int] = Counter()
    at_once: list[int] = []
    busy, lock = [0], threading.Lock()

    def turn(item: int) -> float:
        with lock:
            busy[0] += 1
            at_once.append(busy[0])
        turns[item] += 1
        with lock:
            busy[0] -= 1
        return 0.0

    crew = Crew("taking turns", 3, range(100), turn)
    crew.start()
    wait_until(lambda: len(turns) == 100 and min(turns.values()) >= 5, 10, "each had its turns")
    assert threads_of("taking turns") == 3
    crew.stop()
    assert crew.join(time.monotonic() + 5) == []
    assert max(at_once) <= 3


def test_a_loop_is_in_one_thread_s_hands_at_a_time() -> None:
    held = threading.Lock()
    overlaps: list[int] = []

    def turn(item: int) -> float:
        if not held.acquire(blocking=False):
            overlaps.append(item)
            return 0.0
        time.sleep(0)
        held.release()
        return 0.0

    crew = Crew("one loop", 8, [1], turn)
    crew.start()
    assert threads_of("one loop") == 1
    crew.tend(stuck=4)
    crew.put(2, 60.0)
    crew.stop()
    assert crew.join(time.monotonic() + 5) == []
    assert overlaps == []


def test_stuck_loops_do_not_hold_up_the_others() -> None:
    released = threading.Event()
    done: Counter[str] = Counter()

    def hang() -> None:
        released.wait(20)

    loops = [Loop(f"hung {number}", 60.0, hang, patience=0.05, crew="all") for number in range(2)]
    loops.append(Loop("good", 0.01, lambda: done.update(["good"]), crew="all"))
    supervisor = Supervisor(loops, {"all": 2})
    supervisor.start()

    def goes_on() -> bool:
        supervisor.tend()
        return done["good"] > 5

    wait_until(goes_on, 5, "the good one has its turns", interval=0.01)
    states = supervisor.states()
    assert {states[f"hung {number}"].condition for number in range(2)} == {"stuck"}
    assert 3 <= threads_of("all") <= 4
    released.set()

    def is_smaller() -> bool:
        supervisor.tend()
        return threads_of("all") == 2

    wait_until(is_smaller, 5, "threads that are not needed have ended", interval=0.01)
    assert supervisor.stop(2) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_loses_no_loop() -> None:
    calls: Counter[int] = Counter()

    def turn(item: int) -> float:
        calls[item] += 1
        if calls[item] == 1:
            raise SystemExit
        return 0.0

    crew = Crew("leaving", 2, range(5), turn)
    crew.start()

    def all_are_back() -> bool:
        for item in crew.tend(0):
            crew.put(item, 0.0)
        return len(calls) == 5 and min(calls.values()) > 1

    wait_until(all_are_back, 5, "each has its second turn", interval=0.01)
    crew.stop()
    assert crew.join(time.monotonic() + 5) == []


def test_a_crew_that_no_loop_needs_has_no_thread() -> None:
    crew: Crew[int] = Crew("nobody", 4, [], lambda item: 0.0)
    crew.start()
    assert threads_of("nobody") == 0
    crew.stop()
