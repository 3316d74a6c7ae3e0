"""Watching a canary: each interval is counted and compared until a verdict stands or time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import Unavailable
from ops_platform.slo.canary import intervals
from ops_platform.slo.canary.comparison import Comparison, Limits
from ops_platform.slo.canary.intervals import Pace, Releases
from ops_platform.slo.objectives import Objective

USUAL = Pace()


@dataclass(frozen=True)
class Look:
    """What is known after a poll; ``final`` when nothing more is to come."""

    at: datetime
    comparison: Comparison
    final: bool
    trouble: str | None = None
    """Why nothing could be counted this time. The intervals stay to be counted."""

    @property
    def reason(self) -> str:
        """What the verdict rests on, in a line; a Prometheus that did not answer last comes first."""
        if self.trouble is not None and self.comparison.verdict == "undecided":
            return f"not counted: {self.trouble}"
        return self.comparison.reason


@dataclass(frozen=True)
class Watch:
    """What is watched, and from when on and until when."""

    source: Prometheus
    objective: Objective
    releases: Releases
    limits: Limits
    since: datetime
    until: datetime
    pace: Pace = USUAL

    def looks(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], object] = time.sleep,
    ) -> Iterator[Look]:
        """Yield a look after each interval; the last one is final. Raises ConfigurationError.

        While Prometheus does not answer, nothing is known: the last look then says so.
        """
        comparison = Comparison(self.limits)
        pace = self.pace
        counted, last = pace.ceil(self.since), pace.floor(self.until)
        while True:
            settled = pace.floor(now() - pace.settled)
            end = min(settled, last)
            trouble = None
            if end > counted:
                try:
                    found = intervals.count(self.source, self.objective, self.releases, pace, counted, end)
                except Unavailable as error:
                    trouble = str(error)
                else:
                    counted = end
                    for interval in found:
                        comparison.add(interval)
            over = counted >= last or now() >= self.until + pace.settled + pace.step
            final = comparison.verdict != "undecided" or comparison.is_blind or over
            yield Look(now(), comparison, final, trouble)
            if final:
                return
            until_next = settled + pace.step + pace.settled - now()
            wait(max(1.0, until_next.total_seconds()))
