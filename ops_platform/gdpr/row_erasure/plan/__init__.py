"""The plan of an erasure: its steps, and their order, in which rows found through others come first.

Pure: derived from the map and the catalogue, the same for every subject. Not here: the steps as SQL.
"""

from ops_platform.gdpr.row_erasure.plan.plan_step import Plan, Step, sets, writes
from ops_platform.gdpr.row_erasure.plan.planner import plan

__all__ = ["Plan", "Step", "plan", "sets", "writes"]
