"""The ledger's objects in the server's catalogue: as they are, and as this version's migrations make them.

Rows are not read here: what a table holds means something only after this says that it is a table.
"""

from ops_platform.audit.catalogue.comparison import EPOCH_COLUMN, RECORD, compare, forbids_reading, recorded
from ops_platform.audit.catalogue.facts import epoch_of_new_events, read_facts

__all__ = [
    "EPOCH_COLUMN",
    "RECORD",
    "compare",
    "epoch_of_new_events",
    "forbids_reading",
    "read_facts",
    "recorded",
]
