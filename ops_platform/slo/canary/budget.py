"""How many bad events a canary may have: a share of what the objective's period allows."""

from __future__ import annotations

import math

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import figures

ADVICE = "say how many with --most-bad"


def most_bad(ops: Connection, objective: Objective, share: float) -> int:
    """Compute it from the newest figure of the objective's own period; ``share`` is above 0 and up to 1.

    Raises CheckFailed where that figure is not known: how much a share of it is cannot be known either.
    """
    window = str(objective.period)
    for row in figures.latest(ops, [objective]):
        if row["slo_window"] == window and row["sample_count"] is not None:
            return math.floor(objective.budget * int(row["sample_count"]) * share)
    raise CheckFailed(f"the events of {objective.id} in its {window} are not known: {ADVICE}")
