"""What to restore: scenarios, recovery targets, the backup set, and the plan told beforehand.

Reads repository and heartbeats; restores nothing.
"""

from ops_platform.dr.plan.heartbeat_pairs import STALE, BeatPair
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import SCENARIOS, Plan, Scenario

__all__ = [
    "SCENARIOS",
    "STALE",
    "BeatPair",
    "Plan",
    "RecoveryTarget",
    "Scenario",
    "heartbeat_pairs",
    "restore_plan",
    "scenario",
]
