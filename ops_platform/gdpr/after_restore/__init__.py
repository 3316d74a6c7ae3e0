"""After a restore: erasures done again from tombstones and the ledger, also on an older schema."""

from ops_platform.gdpr.after_restore.ledger_reconciliation import Reconciled
from ops_platform.gdpr.after_restore.replay import Replayed

__all__ = ["Reconciled", "Replayed", "ledger_reconciliation", "replay"]
