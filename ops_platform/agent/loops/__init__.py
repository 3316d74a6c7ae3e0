"""The agent's loops: which ones run, and what each does in a round.

How a loop is supervised is in ``agent.supervised_loop``; what the loops found is kept in ``agent.state``, and
what becomes a metric is in ``agent.metrics``.
"""

from ops_platform.agent.loops.loop_registry import Duties

__all__ = ["Duties"]
