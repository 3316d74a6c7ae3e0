"""Disaster recovery: choose what to restore, restore it and verify it, as an exercise or in an emergency.

``plan`` chooses, ``restore`` restores, ``verification`` verifies, with ``inspection`` and ``reference``;
``exercise`` and ``emergency`` run the same restore and the same verification. Backups themselves are in
``backup``.
"""

__all__ = ["emergency", "exercise", "inspection", "plan", "reference", "restore", "verification"]
