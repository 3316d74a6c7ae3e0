"""The phases of an exercise and of the restore in it: their order, and what an error in one of them means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
import pytest

from ops_platform.dr.exercise import drill, runner
from ops_platform.dr.exercise.drill_phases import DrillPhase
from ops_platform.dr.exercise.rehearsal import Drill, Rehearsal
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.inspection.check_result import CRITICAL, VERIFICATIONS
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable

NOTHING = cast(Any, None)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Phase(DrillPhase):
    """A phase that notes its name, and raises what it is told to."""

    def __init__(self, told: list[str], answers: str | None, error: BaseException | None = None) -> None:
        self.told, self.error = told, error
        self.check_name = answers  # type: ignore[misc]
        self.timing_key = f"{answers} took"  # type: ignore[misc]

    def perform(self, drill: Drill) -> None:
        self.told.append(f"{self.check_name}")
        if self.error is not None:
            raise self.error


class Serving(Phase):
    """A phase whose server runs until the drill ends."""

    def perform(self, drill: Drill) -> None:
        @contextmanager
        def server() -> Iterator[None]:
            try:
                yield
            except BaseException as error:
                self.told.append(f"server killed by {type(error).__name__}")
                raise
            self.told.append("server stopped")

        drill.until_end.enter_context(server())


def rehearse(monkeypatch: pytest.MonkeyPatch, *phases: DrillPhase) -> tuple[Rehearsal, list[str]]:
    lines: list[str] = []
    monkeypatch.setattr(drill, "PHASES", phases)
    done = drill.rehearse(NOTHING, NOTHING, "emergency", NOTHING, T0, lines.append, lambda fraction: None)
    return done, lines


def answers(done: Rehearsal) -> dict[str, str]:
    return {answer.name: answer.result for answer in done.results}


def test_the_order_of_a_drill() -> None:
    assert [(type(phase).__name__, phase.check_name, phase.timing_key) for phase in drill.PHASES] == [
        ("SelectSet", "backup_selected", "select"),
        ("RestoreFiles", "restored", "restore"),
        ("Recover", "recovered_and_promoted", None),
        ("EraseAgain", "recovered_and_promoted", "tombstones"),
        ("CheckCritical", "recovered_and_promoted", "critical"),
        ("CheckAssurance", "recovered_and_promoted", "assurance"),
        ("StopServer", "recovered_and_promoted", None),
        ("CheckStopped", None, "assurance"),
    ]


def test_the_order_of_an_exercise() -> None:
    assert [type(phase).__name__ for phase in runner.PHASES] == [
        "ObserveSource",
        "PrepareChecks",
        "StealKey",
        "DeclareDisaster",
        "RehearseInScratch",
        "CheckExercise",
    ]


def test_what_a_drill_has_not_found_yet_cannot_be_read() -> None:
    with pytest.raises(AttributeError, match="plan"):
        _ = Drill(
            NOTHING, NOTHING, NOTHING, drill.EXERCISE_OPTIONS, Rehearsal(T0), print, print, NOTHING
        ).plan


def test_an_error_answers_for_its_phase_and_ends_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    done, lines = rehearse(
        monkeypatch,
        Phase(told, "backup_selected"),
        Serving(told, "restored"),
        Phase(told, "recovered_and_promoted", CheckFailed("it is damaged")),
        Phase(told, "tombstones"),
    )
    assert told == ["backup_selected", "recovered_and_promoted", "server killed by CheckFailed"]
    assert lines == ["recovered_and_promoted: it is damaged"]
    assert answers(done) == {
        **dict.fromkeys(VERIFICATIONS["emergency"], "unknown"),
        "recovered_and_promoted": "fail",
    }
    assert {*done.phases} == {"backup_selected took", "restored took", "recovered_and_promoted took"}


@pytest.mark.parametrize(
    "error", [Unavailable("away"), ConfigurationError("wrong"), psycopg.OperationalError("gone")]
)
def test_what_is_away_or_set_wrongly_says_nothing_of_the_backup(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    done, _ = rehearse(monkeypatch, Phase([], CRITICAL[0], error))
    assert answers(done)[CRITICAL[0]] == "unknown"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), AssertionError("a bug of ours")])
def test_interruptions_and_bugs_go_through(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    told: list[str] = []
    with pytest.raises(type(error)):
        rehearse(monkeypatch, Serving(told, "restored"), Phase(told, "tombstones", error))
    assert told == ["tombstones", f"server killed by {type(error).__name__}"]


def test_an_error_of_a_phase_that_answers_nothing_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckFailed):
        rehearse(monkeypatch, Phase([], None, CheckFailed("x")))


def test_an_exercise_of_an_unknown_scenario_does_not_begin() -> None:
    request = ExerciseRequest("manual", "product", "newest", "run", "run", 1, 1)
    with pytest.raises(ConfigurationError, match="latest, pitr, integrity, performance"):
        runner.run(NOTHING, request, print, print)
