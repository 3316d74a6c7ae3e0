"""The demo product's past as Prometheus would have scraped it.

Not here: loading it into a new stack (``local.demo_history``), and the living traffic
(``local.demo.traffic``).
"""

from ops_platform.local.demo.history.record import HistoryStore, Record
from ops_platform.local.demo.history.timetable import DAY, HOUR, HistoryPlan

__all__ = ["DAY", "HOUR", "HistoryPlan", "HistoryStore", "Record"]
