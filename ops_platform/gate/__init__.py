"""The gate: may a release go on now? Reasons from all duties, each allowed, denied or undecided.

It asks the agent's figures, Alertmanager and the ops database, and judges them by a policy. Nothing that
is not known allows anything. Not here: how the figures come about, which is the duties' and the agent's.
"""

from ops_platform.gate import override
from ops_platform.gate.answers import GateAnswers
from ops_platform.gate.deciding import decide
from ops_platform.gate.decision import Decision, Reason, Verdict
from ops_platform.gate.freeze import Freeze
from ops_platform.gate.policy import CHECKS, Policy, load_policy

__all__ = [
    "CHECKS",
    "Decision",
    "Freeze",
    "GateAnswers",
    "Policy",
    "Reason",
    "Verdict",
    "decide",
    "load_policy",
    "override",
]
