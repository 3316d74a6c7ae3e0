"""The reference that a restore is compared with: captured from the live server, signed, copied to the
ledger.
"""

from ops_platform.dr.reference.reference_store import Reference

__all__ = ["Reference", "capture", "ledger_copies", "reference_store"]
