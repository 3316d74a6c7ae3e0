"""The lineage of a request: what each step did to which place, as counts.

Not here: the audit ledger (``audit``); lineage belongs to one request, and holds counts only.
"""

from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.lineage.lineage_store import Line

__all__ = ["Effect", "Line", "lineage_store"]
