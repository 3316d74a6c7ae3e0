"""Series that appear: is all that their counter shows new, or did it count before, unseen?

A series begins in the process that was just scraped without it, or in one that has just started. But
it may also come back (relabelling, an exporter that forgets), or go on under another label: then what
it shows was counted long before. Only what is provably new counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.samples import Series, Times, Values, none
from ops_platform.slo.scrapes import FOREVER, HORIZON, Scrapes


@dataclass(frozen=True)
class Family:
    """What the series of one target and metric say about each other."""

    seen: Scrapes
    gone_at: Times
    """Last sample of a series that a later good scrape no longer showed; ``back_at``: its next one."""
    back_at: Times
    gone_with: Values
    fell: Times
    """When a counter began anew: so did the process."""

    @classmethod
    def of(cls, series: Sequence[Series], seen: Scrapes) -> Family:
        gone, back, values, fell = [none()], [none()], [none()], [none()]
        for one in series:
            if not one.times.size:
                continue
            following = np.concatenate((one.times[1:], [FOREVER]))
            later = np.searchsorted(seen.good, one.times, side="right")
            missed = np.searchsorted(seen.good, following, side="left") > later
            gone.append(one.times[missed])
            back.append(following[missed])
            values.append(one.values[missed])
            fell.append(one.times[1:][(np.diff(one.values) < 0) & (np.diff(one.times) <= HORIZON)])
        joined = [np.concatenate(each) for each in (gone, back, values, fell)]
        return cls(seen, joined[0], joined[1], joined[2], joined[3])

    def doubt(self, one: Series, at: int) -> str | None:
        """Why what ``one`` shows in its sample number ``at``, the first for HORIZON, may be old."""
        time, value = int(one.times[at]), int(one.values[at])
        started = self.seen.start_told(time)
        fresh = started is not None and time - HORIZON <= started <= time
        low, high = np.searchsorted(self.seen.good, [time - HORIZON, time], side="left")
        if not fresh and high == low:
            return "appears: new, or unseen before?"
        if value == 0:
            return None
        last = (int(one.times[at - 1]), int(one.values[at - 1])) if at else one.earlier
        if last is not None and value >= last[1] and not (started is not None and last[0] < started <= time):
            return "comes back: what it counted meanwhile is not known"
        if self._renamed(time, value, started):
            return "appears while another one ends: new, or only named anew?"
        return None

    def _renamed(self, time: int, value: int, started: int | None) -> bool:
        """Whether a series that ended within HORIZON before ``time`` may go on with ``value``."""
        if (self.fell == time).any():
            return False
        born = -1 if started is None or started > time else started
        ended = (self.gone_at >= time - HORIZON) & (self.gone_at < time) & (self.back_at > time)
        return bool((ended & (self.gone_with <= value) & (self.gone_at >= born)).any())
