"""What becomes of counts: hours and days kept, figures, error budget, reconciliation, completeness.

Not here: the counting itself (``slo.counting``), and what Grafana shows (``grafana``).
"""

from ops_platform.slo.reporting.error_budget import STATES, VERDICTS, Tally
from ops_platform.slo.reporting.figures import Figure
from ops_platform.slo.reporting.prometheus_links import graph_url

__all__ = [
    "STATES",
    "VERDICTS",
    "Figure",
    "Tally",
    "burn_down",
    "completeness",
    "error_budget",
    "exclusion_adjustment",
    "figure_causes",
    "figures",
    "graph_url",
    "refresh",
    "rule_reconciliation",
]
