"""Metrics of the platform's own upkeep: the jobs that fail, the duties that are due.

Not here: those of the ledger (``metrics.audit``), and of loops, Dagster and certificates
(``metrics.system``).
"""

from ops_platform.agent.metrics.upkeep import duties, job_failures
from ops_platform.agent.metrics.upkeep.duties import DutyMetrics
from ops_platform.agent.metrics.upkeep.job_failures import JobFailureMetrics

__all__ = ["DutyMetrics", "JobFailureMetrics", "duties", "job_failures"]
