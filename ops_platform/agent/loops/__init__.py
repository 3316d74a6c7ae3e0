"""Loops of the agent: how one is supervised, which ones run, and what each does in a round.

A loop that fails is backed off and counted, one that hangs is cut loose; neither stops another. What the
loops found is in ``agent.state``, what becomes a metric in ``agent.metrics``.
"""

from ops_platform.agent.loops.loop_registry import Duties
from ops_platform.agent.loops.supervised_loop import Loop, LoopState, Supervisor

__all__ = ["Duties", "Loop", "LoopState", "Supervisor"]
