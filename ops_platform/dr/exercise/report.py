"""The request for an exercise and its outcome: plain facts, stored by ``exercise_store``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ops_platform.dr.inspection import Verification

ExerciseType = Literal["scheduled", "manual", "emergency"]
ExerciseResult = Literal["success", "partial", "failed"]


@dataclass(frozen=True)
class ExerciseRequest:
    """One scenario of one run. Targets in milliseconds."""

    exercise_type: ExerciseType
    stanza: str
    scenario: str
    run_id: str
    root_run_id: str
    target_rto_ms: int
    target_rpo_ms: int

    @property
    def exercise_id(self) -> str:
        """The key of its row: one for each run, stanza and scenario."""
        return f"{self.run_id}:{self.stanza}:{self.scenario}"

    @property
    def object(self) -> str:
        """The object of its events in the audit ledger."""
        return f"exercise/{self.stanza}/{self.scenario}"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an exercise. None is unknown, never zero.

    ``phases`` in seconds, sizes in bytes, rates in bytes per second of the bulk.
    ``recovery_target`` is text for people; ``reason`` says what was wrong, None for a success.
    """

    result: ExerciseResult
    t0: datetime
    reason: str | None = None
    backup_label: str | None = None
    recovery_target: str | None = None
    rto_ms: int | None = None
    rpo_ms: int | None = None
    assurance_ms: int | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    copy_bytes: int | None = None
    copy_seconds: float | None = None
    copy_rate: float | None = None
    replay_bytes: int | None = None
    replay_seconds: float | None = None
    replay_rate: float | None = None
    verifications: Sequence[Verification] = ()
