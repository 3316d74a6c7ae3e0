"""Traffic of the demo product: users who write into its database, and its metrics.

``python -m ops_platform.local.demo.traffic`` runs it. The users' activity is in ``local.demo.activity``.
"""

__all__: list[str] = []
