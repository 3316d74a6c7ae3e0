"""Data frames of what is counted and reported of objectives, for people and notebooks; nothing is written.

They are read from the views of the schema ``analysis`` in the ops database (``OPS_ANALYST_DATABASE_URL``).
Not here: the counting and judging (``slo``), and what Grafana shows.
"""

from ops_platform.analysis.frames import bounds, counts, exclusions, figures, ledger, objectives
from ops_platform.analysis.records import VIEWS, Selection, read

__all__ = [
    "VIEWS",
    "Selection",
    "bounds",
    "counts",
    "exclusions",
    "figures",
    "ledger",
    "objectives",
    "read",
    "records",
    "writers",
]
