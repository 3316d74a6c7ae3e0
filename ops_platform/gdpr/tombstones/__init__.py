"""Tombstones: whom not to let come back, sealed, with copies in the ledger, and legal holds.

Not here: erasing again after a restore (``gdpr.after_restore``).
"""

from ops_platform.gdpr.tombstones.backup_expiry import BackupTerm
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import LEDGER_PREFIX, Tombstone

__all__ = [
    "LEDGER_PREFIX",
    "BackupTerm",
    "SealingKeys",
    "Tombstone",
    "encryption",
    "ledger_copies",
    "legal_holds",
    "sealed_identities",
    "tombstone_store",
]
