"""The agent: one process for heartbeats, archive watch, sealer, mail outbox, alert receiver, ``/metrics``.

``python -m ops_platform.agent`` starts it; each database host may run one. The work of a duty is in that
duty's package; here are the loops that call it, the facts that they read, and the metrics made of them.
The embedded stack's own servers are in ``local``.
"""

__all__: list[str] = []
