"""The load test of the demo product: more users, step by step, until it cannot answer them any more.

What its counters show of a step is ``load_step``; ``saturation`` turns the traffic up and reads them. How
requests are made and answered is the business of ``traffic``.
"""

from ops_platform.local.demo.load.load_step import Limit, Step, as_json, limits
from ops_platform.local.demo.load.saturation import Plan, run

__all__ = ["Limit", "Plan", "Step", "as_json", "limits", "run"]
