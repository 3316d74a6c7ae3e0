"""Falls of counters: a value below the one before is a counter that began anew only where that is proven.

Proof is a process that reports a later start, or a zero that Prometheus stored at the counter's creation.
A counter that falls while its process goes on has dipped (a proxy that answers from memory, a lagging
replica), or an exporter relays another process: which of the two, and what happened, cannot be told. Of a
target that reports no start, a fall to at most half is believed, unless the value is soon back, or back at
once a little later: two processes behind one address.

Not here: series that appear or come back (``counter_starts``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ops_platform.slo.counting.samples import Mask, Series, Times, no_times, show
from ops_platform.slo.counting.scrapes import HORIZON, JITTER, NEVER, VIEW, Scrapes, Unknown

SKEW = 60_000
"""Milliseconds by which the clocks of Prometheus and of a target may differ."""
NOBODY: Times = no_times()


@dataclass(frozen=True)
class Falls:
    """The samples of a counter at which it began anew, by sample; and the times at which it may have."""

    reset: Mask
    """The value fell, and that the counter began anew is proven."""
    process_began: Mask
    """The process began between the sample before and this one."""
    created: Mask
    """Prometheus stored the zero that it began with, at the time of its creation, without a scrape."""
    unproven: tuple[Unknown, ...]
    fell_at: tuple[int, ...]
    """When (ms) the unproven ones were seen."""

    @classmethod
    def of(cls, counter: Series, scrapes: Scrapes, doubted: Times = NOBODY) -> Falls:
        """Judge each fall of ``counter`` from the sample before, within HORIZON.

        ``doubted``: when another counter of the target fell, and had not begun anew for certain.
        """
        times, values = counter.times, counter.values
        previous = np.concatenate(([NEVER], times[:-1]))
        before = np.concatenate(([0], values[:-1]))
        fell = (values < before) & (times - previous <= HORIZON)
        began = process_began(times, previous, scrapes)
        created = created_zeros(counter, scrapes)
        if not fell.any():
            return cls(fell, began, created, (), ())
        silent = scrapes.process_starts(times) == NEVER
        proven = fell & (created | began)
        believable = silent & ~np.isin(times, doubted) & (2 * values <= before)
        unproven: list[Unknown] = []
        for index in np.flatnonzero(fell & ~proven).tolist():
            latest = int(times[index - 1]) + VIEW
            back = back_at(counter, index, int(before[index]), latest)
            if believable[index] and (back is None or _grew(counter, index, int(before[index]), back)):
                proven[index] = True
                continue
            known_to_run = "" if silent[index] else ", and its process had not begun anew"
            unproven.append(
                Unknown(
                    int(times[index - 1]),
                    latest if back is None else back,
                    f"{show(counter.labels)} fell from {before[index]} to {values[index]}{known_to_run}: "
                    "a dip, or a restart?",
                    "shown",
                )
            )
        return cls(proven, began, created, tuple(unproven), tuple(times[fell & ~proven].tolist()))


def back_at(counter: Series, index: int, before: int, latest: int) -> int | None:
    """Find when (ms), from the sample at ``index`` to ``latest``, the value is ``before`` or more."""
    times = counter.times
    end = int(np.searchsorted(times, latest, side="right"))
    higher = np.flatnonzero(counter.values[index:end] >= before)
    return int(times[index + int(higher[0])]) if higher.size else None


def _grew(counter: Series, index: int, before: int, back: int) -> bool:
    """Tell whether the value that fell at ``index`` came ``back`` (ms) by counting: late, in small steps."""
    at = int(np.searchsorted(counter.times, back))
    rise = int(counter.values[at]) - int(counter.values[at - 1])
    late = back > int(counter.times[index]) + HORIZON
    return late and 2 * rise <= before - int(counter.values[index])


def process_began(times: Times, previous: Times, scrapes: Scrapes) -> Mask:
    """Mark the ``times`` at which the process reports a start after ``previous``, which it did not then."""
    now, then = scrapes.process_starts(times), scrapes.process_starts(previous)
    told = then != NEVER
    later = np.where(told, (now - then > JITTER) & (now > previous - SKEW), now > previous)
    return np.asarray((now != NEVER) & later & (now <= times + np.where(told, SKEW, 0)))


def swaps(scrapes: Scrapes) -> Times:
    """List the times (ms) at which another process answers, though it had run at the scrape before.

    Its start goes back, or on to one before that scrape: several processes behind one address.
    """
    times, starts = scrapes.reported_at, scrapes.reported_starts
    if times.size < 2:
        return no_times()
    then, previous, now, at = starts[:-1], times[:-1], starts[1:], times[1:]
    began = (now > then) & (now > previous - SKEW) & (now <= at + SKEW)
    swapped: Times = at[(np.abs(now - then) > JITTER) & ~began & (at - previous <= HORIZON)]
    return swapped


def created_zeros(counter: Series, scrapes: Scrapes) -> Mask:
    """Mark the zeros that were stored at a counter's creation (``created-timestamp-zero-ingestion``).

    Those are zeros away from any scrape in a series whose other samples are of scrapes; an exporter that
    gives its samples times of its own has none.
    """
    times = counter.times
    if (counter.values != 0).all():
        return np.zeros(times.size, np.bool_)
    scraped = np.isin(times, scrapes.good, assume_unique=True)
    near = np.diff(times) <= HORIZON
    before = np.concatenate(([True], scraped[:-1] | ~near))
    after = np.concatenate((scraped[1:] & near, [False]))
    return np.asarray((counter.values == 0) & ~scraped & before & after)


def doubted_times(series: list[Series], scrapes: Scrapes) -> Times:
    """Collect the times (ms) at which one of these counters of a target fell, and may have been reset."""
    falls = [fall for counter in _falling(series) for fall in Falls.of(counter, scrapes).fell_at]
    return np.unique(np.array(falls, np.int64))


def reset_times(series: list[Series], scrapes: Scrapes) -> Times:
    """Collect the times (ms) at which one of these counters of a target was reset, as far as proven."""
    resets = [counter.times[Falls.of(counter, scrapes).reset] for counter in _falling(series)]
    return np.unique(np.concatenate([no_times(), *resets]))


def _falling(series: list[Series]) -> list[Series]:
    return [counter for counter in series if (np.diff(counter.values) < 0).any()]
