"""The reference that a restore is compared with.

It is captured from the live server, signed, stored in the ops database and copied beside the repository.
"""

from ops_platform.dr.reference.reference_store import Reference

__all__ = ["Reference", "capture", "change_watch", "ledger_copies", "reference_store"]
