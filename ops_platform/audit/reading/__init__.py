"""Where a verification reads the ledger from: the tables of a server, or a copy of them and of the bucket.

What the rows mean is not decided here.
"""

from ops_platform.audit.reading.copied_bucket import CopiedBucket
from ops_platform.audit.reading.copied_ledger import CopiedLedger
from ops_platform.audit.reading.export import Manifest, export, open_copy
from ops_platform.audit.reading.source import LedgerSource
from ops_platform.audit.reading.stored_ledger import StoredLedger, pin

__all__ = [
    "CopiedBucket",
    "CopiedLedger",
    "LedgerSource",
    "Manifest",
    "StoredLedger",
    "export",
    "open_copy",
    "pin",
]
