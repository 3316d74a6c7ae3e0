"""Objectives: OpenSLO documents, selectors, and the Prometheus rules made from them.

Not here: whether an objective is met (``slo.reporting``).
"""

from ops_platform.slo.objectives.alert_rules import BURN_ALERTS, burning_objective
from ops_platform.slo.objectives.indicator import PARTS
from ops_platform.slo.objectives.model import (
    MONTH,
    AnyIndicator,
    GaugeIndicator,
    Indicator,
    Objective,
    Period,
    Slicing,
)
from ops_platform.slo.objectives.selector import Matcher, Selector, format_bound

__all__ = [
    "BURN_ALERTS",
    "MONTH",
    "PARTS",
    "AnyIndicator",
    "GaugeIndicator",
    "Indicator",
    "Matcher",
    "Objective",
    "Period",
    "Selector",
    "Slicing",
    "burning_objective",
    "documents",
    "event_rates",
    "format_bound",
    "kubernetes_rules",
    "openslo",
    "prometheus_rules",
    "promql",
]
