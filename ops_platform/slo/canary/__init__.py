"""Whether a canary may go on: its exact counts beside the stable release's, judged while they come in.

``evidence`` is the arithmetic of the sequential test, ``comparison`` its verdicts, ``intervals`` the
counting, ``watch`` the loop, ``budget`` what a canary may spend. Not here: the gate, which looks at the whole
platform.
"""

from ops_platform.slo.canary.comparison import Comparison, Interval, Limits, Side, Verdict
from ops_platform.slo.canary.intervals import Pace, Releases
from ops_platform.slo.canary.watch import Look, Watch

__all__ = [
    "Comparison",
    "Interval",
    "Limits",
    "Look",
    "Pace",
    "Releases",
    "Side",
    "Verdict",
    "Watch",
    "budget",
]
