"""Reports on requests: the daily review, the monthly report, the quarterly audit of the data map."""

__all__ = ["data_audit", "monthly_report", "pending_review"]
