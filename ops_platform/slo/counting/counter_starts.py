"""Series that appear and processes that restart: whether a counter's first value is new events.

A series begins in a process that was just scraped without it, or in one that has just started. But it
may also come back (relabelling, an exporter that forgets), or go on under another label, or be a counter
that an exporter relays: then its value was counted long before. Only what is provably new counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.counting.counter_falls import back_at
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, no_times
from ops_platform.slo.counting.scrapes import FOREVER, HORIZON, NEVER, VIEW, Scrapes

Siblings = Mapping[Labels, Sequence[Series]]


@dataclass(frozen=True)
class Family:
    """The series of one target and metric, for what they reveal about each other. Times are in ms."""

    scrapes: Scrapes
    siblings: Siblings
    """All series by their labels without the target's, but of one job."""
    last_seen_at: Times
    """Last sample of a series that a later good scrape no longer showed."""
    back_at: Times
    """The next sample of that series; FOREVER when there is none."""
    last_value: Values
    resets: Times
    """When a counter of the target was reset."""
    doubted: Times
    """When one fell, and may have been."""

    @classmethod
    def of(
        cls, series: Sequence[Series], scrapes: Scrapes, resets: Times, doubted: Times, siblings: Siblings
    ) -> Family:
        """Collect where the ``series`` of one target were missing from good scrapes, and came back."""
        last_seen, back_at, last_values = [no_times()], [no_times()], [no_times()]
        for counter in series:
            if not counter.times.size:
                continue
            following = np.concatenate((counter.times[1:], [FOREVER]))
            missed = missing_between(counter.times, following, scrapes)
            last_seen.append(counter.times[missed])
            back_at.append(following[missed])
            last_values.append(counter.values[missed])
        joined = [np.concatenate(arrays) for arrays in (last_seen, back_at, last_values)]
        return cls(scrapes, siblings, joined[0], joined[1], joined[2], resets, doubted)

    def doubt(self, counter: Series, index: int) -> str | None:
        """Say why the value of ``counter`` at ``index``, its first sample for HORIZON, may be old.

        None: it is new, or nothing.
        """
        time, value = int(counter.times[index]), int(counter.values[index])
        if value == 0 and index == 0 and not counter.known:
            # Nothing was counted before: there was no before.
            return None
        started = self.scrapes.process_start(time)
        just_started = started is not None and time - HORIZON <= started <= time
        low, high = np.searchsorted(self.scrapes.good, [time - HORIZON, time], side="left")
        if not just_started and high == low:
            return "appears: new, or unseen before?"
        if value == 0:
            return None
        last = (int(counter.times[index - 1]), int(counter.values[index - 1])) if index else counter.earlier
        began = started is not None and last is not None and last[0] < started <= time
        if last is not None and value >= last[1] and not began:
            return "comes back: what it counted meanwhile is not known"
        if (
            last is not None
            and not began
            and (
                started is not None
                or 2 * value > last[1]
                or back_at(counter, index, last[1], time + HORIZON) is not None
            )
        ):
            return "comes back with less, and nothing proves that it began anew"
        if self.may_continue(time, value):
            return "appears while another one ends: new, or only named anew?"
        if high == low and self._may_be_relayed(counter, time, value):
            return "begins with what another instance ended with: its own count, or one that it relays?"
        return None

    def doubted_until(self, counter: Series, index: int) -> int:
        """Find until when (ms) the doubt about ``index`` lasts: while a value may be one that has dipped."""
        time = int(counter.times[index])
        seen = (int(counter.times[index - 1]), int(counter.values[index - 1])) if index else counter.earlier
        if seen is None or not 0 < int(counter.values[index]) < seen[1]:
            return time
        at, last = seen
        started = self.scrapes.process_start(time)
        if started is not None and at < started <= time:
            return time
        back = back_at(counter, index, last, time + HORIZON)
        return time + HORIZON if back is None else back

    def since(self, counter: Series, index: int) -> tuple[int, int]:
        """Bound the time and value from which a series counted what it shows at ``index``, after a gap.

        The time: of the sample before, or NEVER. The value: what it showed then, when the target was not
        scraped well in between; else 0, for another name may have counted in its place.
        """
        if not index:
            return NEVER, 0
        after, value = int(counter.times[index - 1]), int(counter.values[index - 1])
        low, high = np.searchsorted(self.scrapes.good, [after, counter.times[index]], side="right")
        return after, value if high - low <= 1 else 0

    def shown(self, counter: Series, index: int) -> tuple[int, int]:
        """Bound what a series counted before ``index``, its first sample for HORIZON: seen, and at most.

        Seen is what the sample itself proves to have been counted since somebody looked, or since its process
        began; of the rest it may be that all happened long before.
        """
        time, value = int(counter.times[index]), int(counter.values[index])
        last = (int(counter.times[index - 1]), int(counter.values[index - 1])) if index else counter.earlier
        started = self.scrapes.process_start(time)
        if last is None:
            unread = counter.known and started is not None and started <= time
            low, high = np.searchsorted(self.scrapes.good, [time - VIEW, time], side="left")
            looked = high > low and self.scrapes.same_process(int(self.scrapes.good[low]), time)
            recent = started is not None and time - VIEW < started <= time
            return (value if unread or recent or (looked and not counter.known) else 0), value
        if started is not None and last[0] < started <= time:
            return value, value
        if started is not None and started <= last[0] and value >= last[1]:
            return value - last[1], value - last[1]
        return max(0, value - last[1]), value

    def may_continue(self, time: int, value: int) -> bool:
        """Tell whether a series that ended within HORIZON before ``time`` may go on with ``value``."""
        if (self.resets == time).any():
            return False
        started = self.scrapes.process_start(time)
        process_start = NEVER if started is None or started > time else started
        ended = (self.last_seen_at >= time - HORIZON) & (self.last_seen_at < time) & (self.back_at > time)
        return bool((ended & (self.last_value <= value) & (self.last_seen_at >= process_start)).any())

    def _may_be_relayed(self, counter: Series, time: int, value: int) -> bool:
        """Tell whether the same series of another instance, with at most ``value``, has just ended."""
        for other in self.siblings.get(labels_but_target(counter), ()):
            if other.target == counter.target:
                continue
            index = int(np.searchsorted(other.times, time, side="left")) - 1
            if index < 0 or other.times[index] < time - HORIZON or not 0 < other.values[index] <= value:
                continue
            following = int(other.times[index + 1]) if index + 1 < other.times.size else FOREVER
            if following - int(other.times[index]) > HORIZON:
                return True
        return False


def labels_but_target(counter: Series) -> Labels:
    """Drop the target but its job: what the same series of another instance has in common with it."""
    return (*counter.own_labels, ("job", counter.label("job")))


def missing_between(times: Times, following: Times, scrapes: Scrapes) -> Mask:
    """Mark the samples after which, before the ``following`` one, a good scrape did not show the series."""
    later = np.searchsorted(scrapes.good, times, side="right")
    return np.asarray(np.searchsorted(scrapes.good, following, side="left") > later)
