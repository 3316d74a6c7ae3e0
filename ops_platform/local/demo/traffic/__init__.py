"""The demo product's traffic: users who write into its database, and its metrics.

``python -m ops_platform.local.demo.traffic`` runs it. What users do is in ``local.demo.activity``.
"""

__all__: list[str] = []
