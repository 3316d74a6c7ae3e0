"""Disaster recovery: what to restore (``plan``), restoring it, proving it (``verification``), by drill or in
earnest.

``exercise`` and ``emergency`` run the same restore and the same verification. Backups themselves are in
``backup``.
"""

__all__ = ["emergency", "exercise", "inspection", "plan", "restore", "verification"]
