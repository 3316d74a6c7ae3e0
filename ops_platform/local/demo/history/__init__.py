"""History of the demo product: its past as Prometheus would have scraped it."""

from ops_platform.local.demo.history.record import HistoryStore, Record
from ops_platform.local.demo.history.timetable import DAY, HOUR, HistoryPlan

__all__ = ["DAY", "HOUR", "HistoryPlan", "HistoryStore", "Record"]
