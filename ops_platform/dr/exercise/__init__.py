"""Restore exercises: one run of a scenario, its measured RTO and RPO, and the record of it.

What is restored is decided in ``dr.plan``, what is verified in ``dr.verification``.
"""

from ops_platform.dr.exercise.drill import Knowledge, Manner, Rehearsal, rehearse, server_of
from ops_platform.dr.exercise.report import ExerciseRequest, ExerciseType, Outcome
from ops_platform.dr.exercise.rto_forecast import WARN_SHARE
from ops_platform.dr.exercise.runner import judge, run

__all__ = [
    "WARN_SHARE",
    "ExerciseRequest",
    "ExerciseType",
    "Knowledge",
    "Manner",
    "Outcome",
    "Rehearsal",
    "exercise_store",
    "judge",
    "rehearse",
    "run",
    "server_of",
]
