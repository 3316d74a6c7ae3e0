"""Service level objectives: from a promise to exact counts, figures and an error budget.

``objectives`` holds the promises, ``counting`` counts events, ``reporting`` stores and judges the counts.
``importing`` makes OpenSLO documents of other tools'.
``source_check`` says whether a Prometheus can be counted from, ``canary`` whether a new release may go on.
Alert rules are generated from objectives; dashboards are in ``grafana``; Dagster's assets in ``defs.slo``.
"""

__all__ = ["canary", "counting", "importing", "objectives", "reporting", "source_check"]
