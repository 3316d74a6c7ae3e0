"""Exercise a restore for real beside production: the runs that measure RPO and RTO.

``runner`` has the phases of an exercise in their order, ``drill`` those of the one restore in it, which an
emergency runs, too; ``rehearsal`` is what a restore is told and what comes of it. Not here: how a set is
chosen, restored, served and verified.
"""

from ops_platform.dr.exercise.report import ExerciseRequest, ExerciseType, Outcome
from ops_platform.dr.exercise.rto_forecast import WARN_SHARE

__all__ = [
    "WARN_SHARE",
    "ExerciseRequest",
    "ExerciseType",
    "Outcome",
    "drill",
    "exercise_store",
    "rehearsal",
    "runner",
]
