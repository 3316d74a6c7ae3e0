"""The one long-running helper: heartbeats, archive watch, sealer, outbox, alert receiver, metrics.

``python -m ops_platform.agent`` starts it; each database host may run one. ``loops`` call the duties,
``probes`` look at certificates and Dagster, ``state`` keeps what they found, ``metrics`` makes samples of
it. Not here: what a duty does, which stands in its own package, and the servers of the embedded stack
(``local``).
"""

__all__: list[str] = []
