"""Reports on requests: the daily review, the monthly report, the quarterly audit of the data map.

Not here: the metrics of requests (``agent.metrics``), and the reports on SLOs (``slo.reporting``).
"""

__all__ = ["data_audit", "map_review", "monthly_report", "pending_review"]
