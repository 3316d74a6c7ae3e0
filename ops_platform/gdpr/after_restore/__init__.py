"""Work after a restore: repeat erasures from tombstones, and bring back what the ledger remembers.

A restored database may have an older schema than the data map: ``older_schema`` fits the map to it.
"""

from ops_platform.gdpr.after_restore.ledger_reconciliation import Reconciled
from ops_platform.gdpr.after_restore.replay import Replayed

__all__ = ["Reconciled", "Replayed", "ledger_reconciliation", "older_schema", "replay"]
