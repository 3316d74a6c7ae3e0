"""Tombstones (which subjects must stay erased), their sealed copies in the ledger, and legal holds."""

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
    "tombstone_store",
]
