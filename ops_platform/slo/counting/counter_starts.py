"""Series that appear, processes that begin anew: is what a counter shows new, or was it counted before?

A series begins in the process that was just scraped without it, or in one that has just started. But
it may also come back (relabelling, an exporter that forgets), or go on under another label, or be what
an exporter relays of somebody else: then what it shows was counted long before. Only what is provably
new counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, none
from ops_platform.slo.counting.scrapes import FOREVER, HORIZON, NEVER, Scrapes

Alike = Mapping[Labels, Sequence[Series]]


def falls(series: Sequence[Series]) -> Times:
    """When one of these counters of a target began anew."""
    found = [
        one.times[1:][(np.diff(one.values) < 0) & (np.diff(one.times) <= HORIZON)]
        for one in series
        if one.times.size
    ]
    return np.unique(np.concatenate([none(), *found]))


@dataclass(frozen=True)
class Family:
    """What the series of one target and metric say about each other.

    ``alike``: all series by what tells them apart but for the instance.
    """

    seen: Scrapes
    alike: Alike
    gone_at: Times
    """Last sample of a series that a later good scrape no longer showed; ``back_at``: its next one."""
    back_at: Times
    gone_with: Values
    fell: Times
    """When a counter of the target began anew."""

    @classmethod
    def of(cls, series: Sequence[Series], seen: Scrapes, fell: Times, alike: Alike) -> Family:
        gone, back, values = [none()], [none()], [none()]
        for one in series:
            if not one.times.size:
                continue
            following = np.concatenate((one.times[1:], [FOREVER]))
            missed = missing_between(one.times, following, seen)
            gone.append(one.times[missed])
            back.append(following[missed])
            values.append(one.values[missed])
        joined = [np.concatenate(each) for each in (gone, back, values)]
        return cls(seen, alike, joined[0], joined[1], joined[2], fell)

    def doubt(self, one: Series, at: int) -> str | None:
        """Why what ``one`` shows in its sample number ``at``, the first for HORIZON, may be old."""
        time, value = int(one.times[at]), int(one.values[at])
        if value == 0 and at == 0 and not one.known:
            # Nothing was counted before: there was no before.
            return None
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
        if self.renamed(time, value):
            return "appears while another one ends: new, or only named anew?"
        if high == low and self._relayed(one, time, value):
            return "begins with what another instance ended with: its own count, or one that it relays?"
        return None

    def renamed(self, time: int, value: int) -> bool:
        """Whether a series that ended within HORIZON before ``time`` may go on with ``value``."""
        if (self.fell == time).any():
            return False
        started = self.seen.start_told(time)
        born = NEVER if started is None or started > time else started
        ended = (self.gone_at >= time - HORIZON) & (self.gone_at < time) & (self.back_at > time)
        return bool((ended & (self.gone_with <= value) & (self.gone_at >= born)).any())

    def _relayed(self, one: Series, time: int, value: int) -> bool:
        """Whether the same series of another instance ended within HORIZON before ``time``, with no more."""
        for other in self.alike.get(elsewhere(one), ()):
            if other.target == one.target:
                continue
            at = int(np.searchsorted(other.times, time, side="left")) - 1
            if at < 0 or other.times[at] < time - HORIZON or not 0 < other.values[at] <= value:
                continue
            following = int(other.times[at + 1]) if at + 1 < other.times.size else FOREVER
            if following - int(other.times[at]) > HORIZON:
                return True
        return False


def elsewhere(one: Series) -> Labels:
    """What the same series of another instance has in common with it."""
    return tuple(pair for pair in one.labels if pair[0] != "instance")


def missing_between(times: Times, following: Times, seen: Scrapes) -> Mask:
    """Of samples and the ones that follow them: where a good scrape in between did not show the series."""
    later = np.searchsorted(seen.good, times, side="right")
    return np.asarray(np.searchsorted(seen.good, following, side="left") > later)
