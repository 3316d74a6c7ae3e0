"""One package or module for each outside system; none knows the duties.

``safe_errors`` turns what these systems raise into text; ``waiting`` and ``child_process`` serve the others.
"""

__all__ = [
    "alertmanager",
    "child_process",
    "dagster",
    "decompression",
    "json_http",
    "mail",
    "object_store",
    "pgbackrest",
    "postgres",
    "prometheus",
    "prometheus_access",
    "redis",
    "safe_errors",
    "timestamp_authority",
    "waiting",
]
