"""Service level objectives: from a promise to exact counts, figures and an error budget.

``objectives`` says what is promised, ``counting`` counts, ``reporting`` keeps and judges.
Alert rules are generated from objectives; dashboards are in ``grafana``; Dagster's assets in ``defs.slo``.
"""

__all__ = ["counting", "objectives", "reporting"]
