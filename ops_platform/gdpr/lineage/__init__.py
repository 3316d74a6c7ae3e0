"""The lineage of a request: what each step did to each place, as counts."""

from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.lineage.lineage_store import Line

__all__ = ["Effect", "Line", "lineage_store"]
