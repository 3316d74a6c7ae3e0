"""The one long-running helper: heartbeats, archive watch, sealer, mail outbox, alert receiver and
``/metrics``.

``python -m ops_platform.agent`` starts it; each database host may run one. What a duty does stands in that
duty's package; here are the loops that call it, what they found, and how it is told. The embedded stack's
own servers are in ``local``.
"""

__all__: list[str] = []
