"""Samples of a gauge, or its values at moments, each scored: how many of its parts are good, or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting.range_query import moment
from ops_platform.slo.counting.samples import Times, Values
from ops_platform.slo.counting.scrapes import Unknown, touching


@dataclass(frozen=True)
class Scores:
    """The scores of known samples, and the times (ms) of those that nobody saw; both in order of time.

    A sample has ``parts``; ``good`` of these are good. Nothing at all is known of the ``missing`` stretches.
    """

    times: Times
    good: Values
    parts: int
    unseen: Times
    reasons: Sequence[Unknown]
    """Why samples were not seen."""
    missing: Sequence[Unknown]

    def known(self, start: int, end: int) -> tuple[int, int]:
        """Add up good and all parts of what was seen in (``start``, ``end``]."""
        low, high = np.searchsorted(self.times, [start, end], side="right")
        return int(self.good[low:high].sum()), int(high - low) * self.parts

    def unknown(self, start: int, end: int) -> int:
        """Count the parts of what was not seen in (``start``, ``end``]."""
        low, high = np.searchsorted(self.unseen, [start, end], side="right")
        return int(high - low) * self.parts

    def bounds(self, start: int, end: int) -> Bounds | None:
        """Bound the good and bad parts in (``start``, ``end``]; None where nothing bounds them."""
        if touching(self.missing, start, end) is not None:
            return None
        good, total = self.known(start, end)
        unknown = self.unknown(start, end)
        return Bounds(good, good + unknown, total - good, total - good + unknown)

    def reason(self, start: int, end: int) -> str | None:
        """Say what is not known in (``start``, ``end``]; None: all is."""
        stretch = touching(self.missing, start, end)
        if stretch is None and self.unknown(start, end):
            stretch = touching(self.reasons, start, end)
        if stretch is None:
            return None
        since, until = moment(max(stretch.after, start)), moment(min(stretch.until, end))
        return f"{since:%H:%M:%S} to {until:%H:%M:%S} UTC: {stretch.reason}"
