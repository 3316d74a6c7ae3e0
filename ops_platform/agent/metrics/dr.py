"""Metrics of disaster recovery exercises and of their RTO forecast. Exercises themselves are in ``dr``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge, known_sample
from ops_platform.clients.postgres import Connection
from ops_platform.dr.plan import EXERCISES

_EXERCISE = ("stanza", "scenario")
_STANZA = ("stanza",)

METRICS = (
    gauge("dr_exercise_rto_seconds", "RTO of the newest exercise that measured one.", _EXERCISE),
    gauge("dr_exercise_rpo_seconds", "RPO of the newest exercise that measured one.", _EXERCISE),
    gauge("dr_exercise_last_success_timestamp_seconds", "End of the newest good exercise.", _EXERCISE),
    gauge(
        "dr_exercise_expected_since_timestamp_seconds",
        "Since when the stanza has had a backup that could be exercised.",
        _EXERCISE,
    ),
    gauge("dr_exercise_last_failed", "1 when the newest finished exercise was no success.", _EXERCISE),
    gauge("dr_predicted_rto_seconds", "Predicted RTO of the declared production size.", _STANZA),
    gauge("dr_rto_target_seconds", "The RTO that backups.yaml promises.", _STANZA),
)

_EXERCISES = """
    SELECT w.stanza, w.scenario,
           (SELECT min(completed_at) FROM backup_reports b
            WHERE b.stanza = w.stanza AND status = 'completed' AND kind <> 'wal_archive') AS expected_since,
           last.result <> 'success' AS failed, good.completed_at AS good_at, measured.actual_rto_ms AS rto_ms,
           measured.actual_rpo_ms AS rpo_ms, predicted.seconds AS predicted
    FROM unnest(%(stanzas)s::text[]) AS s (stanza)
    CROSS JOIN unnest(%(scenarios)s::text[]) AS c (scenario)
    CROSS JOIN LATERAL (SELECT s.stanza, c.scenario) AS w
    LEFT JOIN LATERAL (
        SELECT result FROM dr_exercises e WHERE e.stanza = w.stanza AND e.scenario = w.scenario
        AND result IS NOT NULL ORDER BY started_at DESC LIMIT 1) AS last ON true
    LEFT JOIN LATERAL (
        SELECT completed_at FROM dr_exercises e WHERE e.stanza = w.stanza AND e.scenario = w.scenario
        AND result = 'success' ORDER BY started_at DESC LIMIT 1) AS good ON true
    LEFT JOIN LATERAL (
        SELECT actual_rto_ms, actual_rpo_ms FROM dr_exercises e WHERE e.stanza = w.stanza
        AND e.scenario = w.scenario AND actual_rto_ms IS NOT NULL ORDER BY started_at DESC LIMIT 1
    ) AS measured ON true
    LEFT JOIN LATERAL (
        SELECT (verifications #>> '{predicted_rto,numbers,predicted_seconds}')::float AS seconds
        FROM dr_exercises e WHERE e.stanza = w.stanza AND e.scenario = w.scenario
        AND verifications #>> '{predicted_rto,numbers,predicted_seconds}' IS NOT NULL
        ORDER BY started_at DESC LIMIT 1) AS predicted ON true
"""


@dataclass(frozen=True)
class ExerciseState:
    """Exercises of one scenario of one stanza, in recorded units; None is absent."""

    expected_since: datetime | None
    rto_ms: int | None = None
    rpo_ms: int | None = None
    last_success_at: datetime | None = None
    last_failed: bool | None = None
    predicted_rto_seconds: float | None = None
    """Only of the scenario that measures throughput."""


class DrMetrics:
    """Exercises by (stanza, scenario), kept for ``good_for`` seconds after each read.

    ``rto_targets``: what backups.yaml promises for each stanza, in seconds.
    """

    def __init__(self, rto_targets: Mapping[str, float], good_for: float) -> None:
        self.rto_targets = rto_targets
        self.exercises: ExpiringValue[Mapping[tuple[str, str], ExerciseState]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.exercises.put(exercises(connection, list(self.rto_targets), EXERCISES))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield what is known now, and what is promised."""
        for stanza, target in self.rto_targets.items():
            yield Sample("dr_rto_target_seconds", (stanza,), target)
        for (stanza, scenario), state in (self.exercises.get() or {}).items():
            labels = (stanza, scenario)
            yield from known_sample(
                "dr_exercise_expected_since_timestamp_seconds", labels, state.expected_since
            )
            yield from known_sample(
                "dr_exercise_last_success_timestamp_seconds", labels, state.last_success_at
            )
            yield from known_sample("dr_exercise_last_failed", labels, state.last_failed)
            yield from known_sample("dr_predicted_rto_seconds", (stanza,), state.predicted_rto_seconds)
            yield from known_sample("dr_exercise_rto_seconds", labels, _seconds(state.rto_ms))
            yield from known_sample("dr_exercise_rpo_seconds", labels, _seconds(state.rpo_ms))


def exercises(
    connection: Connection, stanzas: Sequence[str], scenarios: Sequence[str]
) -> dict[tuple[str, str], ExerciseState]:
    """Read the exercises by (stanza, scenario), also of those that were never exercised."""
    rows = connection.execute(_EXERCISES, {"stanzas": list(stanzas), "scenarios": list(scenarios)})
    return {
        (row["stanza"], row["scenario"]): ExerciseState(
            expected_since=row["expected_since"],
            rto_ms=row["rto_ms"],
            rpo_ms=row["rpo_ms"],
            last_success_at=row["good_at"],
            last_failed=row["failed"],
            predicted_rto_seconds=row["predicted"],
        )
        for row in rows
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
