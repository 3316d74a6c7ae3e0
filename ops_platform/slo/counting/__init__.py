"""Exact counts of events per window from raw samples of Prometheus, or the reason why they are unknown.

Not here: keeping the counts, and what follows from them (``slo.reporting``).
"""

from ops_platform.slo.counting.event_count import HOUR, TOGETHER, by_source, count, hours
from ops_platform.slo.counting.exclusions import Exclusion

__all__ = ["HOUR", "TOGETHER", "Exclusion", "by_source", "count", "exclusions", "hours", "reader", "window"]
