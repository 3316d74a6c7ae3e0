"""Whether a Prometheus can be counted from: what would be unknown of each objective, and the true reason.

Nothing is stored, and no rule needs to be loaded. Not here: the counting (``slo.counting``), whose answer on
the newest hour decides; and the checks of what was counted (``slo.reporting``).
"""

from ops_platform.slo.source_check.finding import STATUSES, Finding
from ops_platform.slo.source_check.objective_check import ObjectiveCheck, check

__all__ = ["STATUSES", "Finding", "ObjectiveCheck", "check"]
