"""The agent's loops: the registry of those that run, and the step of each.

Loops are supervised by ``agent.supervised_loop``; the facts that they read are kept in ``agent.state`` and
become metrics in ``agent.metrics``.
"""

from ops_platform.agent.loops.loop_registry import LoopRegistry
from ops_platform.agent.loops.stanza_loops import CREWS

__all__ = ["CREWS", "LoopRegistry"]
