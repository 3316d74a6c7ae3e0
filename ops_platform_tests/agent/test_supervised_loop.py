"""Supervised loops: isolation, back-off, what is told about a failing, stuck or dead one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.agent import supervised_loop as loops
from ops_platform.agent.crew import Crew
from ops_platform.agent.supervised_loop import (
    LONGEST_PAUSE_SECONDS,
    Loop,
    LoopState,
    Supervisor,
    pause_after,
)
from ops_platform.clients.safe_errors import describe
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable


def reaches(supervisor: Supervisor, name: str, condition: Callable[[LoopState], bool]) -> LoopState:
    def look() -> LoopState | None:
        supervisor.tend()
        state = supervisor.states()[name]
        return state if condition(state) else None

    return wait_until(look, 5, f"state of {name}", interval=0.01)


def refuse() -> None:
    raise Unavailable("S3 is away: start it")


def _wait(released: threading.Event) -> None:
    released.wait(10)


def test_a_failing_loop_does_not_stop_another() -> None:
    supervisor = Supervisor([Loop("good", 0.01, lambda: None), Loop("bad", 0.01, refuse)])
    supervisor.start()
    good = reaches(supervisor, "good", lambda state: state.runs > 5)
    bad = reaches(supervisor, "bad", lambda state: state.failures > 0)
    assert supervisor.stop(2) == []
    assert good.condition == "healthy"
    assert (bad.condition, bad.reason, bad.last_success_at) == ("failing", "S3 is away: start it", None)


def test_a_loop_recovers_and_keeps_its_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 0.01)
    caplog.set_level("INFO")
    results: Iterator[Callable[[], None]] = iter([refuse, lambda: None])
    supervisor = Supervisor([Loop("once", 0.01, lambda: next(results, lambda: None)())])
    supervisor.start()
    state = reaches(supervisor, "once", lambda state: state.condition == "healthy")
    supervisor.stop(2)
    assert (state.failures, state.failures_in_a_row, state.reason) == (1, 0, "")
    assert state.last_success_at is not None
    assert [record.getMessage() for record in caplog.records][-1] == "once: works again after 1 failures"


def test_failures_in_a_row_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 0.001)
    supervisor = Supervisor([Loop("bad", 0.001, refuse)])
    supervisor.start()
    state = reaches(supervisor, "bad", lambda state: state.failures >= 4)
    supervisor.stop(2)
    assert state.failures_in_a_row == state.failures


def test_a_stuck_step_is_cut_loose_and_told() -> None:
    released = threading.Event()

    def hang() -> None:
        released.wait(10)
        raise Unavailable("its connection was closed")

    told: list[LoopState] = []

    def cut() -> None:
        told.append(supervisor.states()["hung"])
        released.set()

    supervisor = Supervisor([Loop("hung", 0.01, hang, patience=0.05, cut=cut)])
    supervisor.start()
    failed = reaches(supervisor, "hung", lambda state: state.condition == "failing")
    supervisor.stop(2)
    [stuck] = told
    assert stuck.condition == "stuck"
    assert "no end within" in stuck.reason
    assert failed.reason == "its connection was closed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_is_started_again() -> None:
    calls: list[int] = []

    def leave() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise SystemExit

    supervisor = Supervisor([Loop("leaver", 0.01, leave)])
    supervisor.start()
    state = reaches(supervisor, "leaver", lambda state: state.condition == "healthy")
    supervisor.stop(2)
    assert state.failures == 1
    assert len(calls) > 1


def test_stop_names_the_loops_that_do_not_end() -> None:
    released = threading.Event()
    supervisor = Supervisor([Loop("slow", 0.01, lambda: _wait(released))])
    supervisor.start()
    reaches(supervisor, "slow", lambda state: state.step_started_at is not None)
    began = time.monotonic()
    assert supervisor.stop(0.1) == ["slow"]
    assert time.monotonic() - began < 2
    released.set()
    assert supervisor.stop(2) == []


def test_the_first_round_is_over_when_every_loop_has_tried() -> None:
    released = threading.Event()
    supervisor = Supervisor([Loop("a", 60, refuse), Loop("b", 60, lambda: _wait(released))])
    supervisor.start()
    assert not supervisor.wait_for_first_round(0.1)
    released.set()
    assert supervisor.wait_for_first_round(2)
    supervisor.stop(2)


def test_without_loops_the_first_round_is_over() -> None:
    supervisor = Supervisor([])
    supervisor.start()
    assert supervisor.wait_for_first_round(0)


FROM_ONE = [1, 2, 4, 8, 16, 30, 30]
FROM_TWO = [2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(
    ("every", "pauses"),
    [
        (0.01, FROM_ONE),
        (1, FROM_ONE),
        (1.5, [1.5, 3, 6, 12, 24, 30, 30]),
        (2, FROM_TWO),
        (15, FROM_TWO),
        (300, FROM_TWO),
    ],
)
def test_a_pause_doubles_from_its_first_to_the_longest(every: float, pauses: list[float]) -> None:
    assert [pause_after(failures, every) for failures in range(1, 8)] == pauses
    assert pause_after(10_000, every) == LONGEST_PAUSE_SECONDS


def test_a_failing_loop_pauses_longer_each_time_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([*[refuse] * 7, lambda: None, refuse])
    pauses: list[float] = []
    put = Crew.put

    def at_once(crew: Crew[Any], item: object, pause: float) -> None:
        pauses.append(pause)
        put(crew, item, 0.0 if len(pauses) < 9 else 60.0)

    monkeypatch.setattr(Crew, "put", at_once)
    supervisor = Supervisor([Loop("bad", 0.0, lambda: next(results)())])
    supervisor.start()
    reaches(supervisor, "bad", lambda state: state.runs == 9)
    assert supervisor.stop(2) == []
    assert pauses == [*FROM_ONE, 0, 1]


@given(st.integers(1, 10_000), st.floats(0.01, 100_000))
def test_pauses_grow_to_a_bound(failures: int, every: float) -> None:
    pause = pause_after(failures, every)
    assert 1 <= pause <= LONGEST_PAUSE_SECONDS
    assert pause_after(failures + 1, every) >= pause


def test_an_unexpected_exception_is_named_without_its_text() -> None:
    try:
        dict[str, str]()["anna@example.org"]
    except KeyError as error:
        line = describe(error)
    assert line.startswith(
        "unexpected KeyError in ops_platform_tests.agent.test_supervised_loop, test_an_unexpected_exception"
    )
    assert "anna" not in line


def test_a_database_error_is_one_line_without_detail() -> None:
    error = psycopg.errors.UniqueViolation(
        "duplicate key value\nDETAIL: Key (email)=(anna@example.org) exists"
    )
    assert describe(error) == "PostgreSQL: UniqueViolation (SQLSTATE 23505)"


@pytest.mark.parametrize(
    ("error", "line"), [(OSError(28, "No space left on device"), "OSError: No space left on device")]
)
def test_an_operating_system_error_names_no_file(error: OSError, line: str) -> None:
    error.filename = "/secret/path"
    assert describe(error) == line
