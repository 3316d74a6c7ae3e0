"""The plan of a restore: scenario, recovery target, backup set, and its explanation beforehand.

Reads the repository and the heartbeats; restores nothing.
"""

from ops_platform.dr.plan.heartbeat_pairs import STALE, HeartbeatPair
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import EXERCISES, RESTORE_CHECK, SCENARIOS, STOLEN_KEY, Plan

__all__ = [
    "EXERCISES",
    "RESTORE_CHECK",
    "SCENARIOS",
    "STALE",
    "STOLEN_KEY",
    "HeartbeatPair",
    "Plan",
    "RecoveryTarget",
    "heartbeat_pairs",
    "restore_plan",
    "scenario",
    "timeline_choice",
]
