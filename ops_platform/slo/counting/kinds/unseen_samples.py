"""Samples of gauges that there would have been, and that nobody saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from ops_platform.slo.counting.lookback import LOOK_BACK, LastShown
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, no_times
from ops_platform.slo.counting.scrapes import HORIZON, JITTER, NEVER, VIEW, Scrapes
from ops_platform.slo.objectives import Selector

USUAL_INTERVAL = 60_000
"""Milliseconds between samples of a series that shows only one nearby."""
_BEFORE, _AFTER = -(2**62), 2**62


def previous(times: Times, at: Times) -> Times:
    """Look up the newest of ``times`` before each of ``at``; far in the past where there is none."""
    return np.concatenate(([_BEFORE], times))[np.searchsorted(times, at, side="left")]


def following(times: Times, at: Times) -> Times:
    """Look up the first of ``times`` after each of ``at``; far in the future where there is none."""
    return np.concatenate((times, [_AFTER]))[np.searchsorted(times, at, side="right")]


def alive(gauge: Series, times: Times) -> Mask:
    """Tell at which ``times`` a series is there: VIEW before or after a sample, or between two of them."""
    before, after = previous(gauge.times, times), following(gauge.times, times)
    between = ((before > _BEFORE) | gauge.known) & (after < _AFTER)
    return np.asarray((times - before <= VIEW) | (after - times <= VIEW) | between)


def shown_by(series: Sequence[Series]) -> dict[Labels, Times]:
    """Collect by target when it showed any of these series."""
    by_target: dict[Labels, list[Times]] = defaultdict(list)
    for gauge in series:
        by_target[gauge.target].append(gauge.times)
    return {target: np.unique(np.concatenate(times)) for target, times in by_target.items()}


def hidden(gauge: Series, scrapes: Scrapes | None, shown: Times, since: int) -> Times:
    """Find the good scrapes that should have shown a series, and did not.

    Those that lie between two samples of it; and those after its last one while the target shows none of the
    series any more (``shown``: when it did). Not those of a process that is known to have
    begun after the last sample, which was at ``since`` (ms) at the latest when it is not among these: a new
    process has the series from when it first shows it. A lack of less than HORIZON on both sides is one of
    any process.
    """
    if scrapes is None or not gauge.times.size:
        return no_times()
    without = np.setdiff1d(scrapes.good, gauge.times)
    before, after = previous(gauge.times, without), following(gauge.times, without)
    brief = (without - before <= HORIZON) & (after - without <= HORIZON)
    started = scrapes.process_starts(without)
    earlier = np.where(before == _BEFORE, since, scrapes.process_starts(before))
    anew = (started != NEVER) & (earlier != NEVER) & (started - earlier > JITTER)
    between = ((before != _BEFORE) | gauge.known) & (after != _AFTER)
    newest = previous(shown, without)
    silent = following(shown, without) - newest > HORIZON
    # What ended long before the target fell silent is over.
    gone = silent & ((without - before <= VIEW) | (newest - before < HORIZON) & (before != _BEFORE))
    lost: Times = without[brief | ((between | gone) & ~anew)]
    return lost


def vanished(last: LastShown, scrapes: Scrapes, shown: Times, lost: Times) -> Times:
    """Name the samples that good scrapes lack of a target that showed series ``last``, and none since.

    Until it shows any again (``shown``), or a process is known to have begun after it last did. ``lost``:
    those that are named already. Each is named by the time of its scrape.
    """
    before_any = (
        scrapes.good[: np.searchsorted(scrapes.good, shown[0] - HORIZON)] if shown.size else scrapes.good
    )
    started = scrapes.process_starts(before_any)
    lacking = before_any[(before_any > last.at) & ~((started != NEVER) & (started - last.at > JITTER))]
    named = np.searchsorted(lost, lacking, side="right") - np.searchsorted(lost, lacking, side="left")
    return np.repeat(lacking, np.maximum(last.series - named, 0))


def last_shown(reading: Reading, selector: Selector, since: int) -> dict[Labels, LastShown]:
    """Collect by target when it last showed any of the series up to ``since`` (ms), within LOOK_BACK."""
    newest: dict[Labels, list[int]] = defaultdict(list)
    for gauge in reading.series[selector]:
        count = int(np.searchsorted(gauge.times, since, side="right"))
        if count:
            newest[gauge.target].append(int(gauge.times[count - 1]))
    found = dict(reading.last_shown.get(selector, {}))
    found |= {target: LastShown.of(times) for target, times in newest.items()}
    oldest = since - LOOK_BACK // timedelta(milliseconds=1)
    return {target: last for target, last in found.items() if last.at > oldest}


def within(gauge: Series, scrapes: Scrapes | None, after: int, until: int) -> Times:
    """Name the times in (``after``, ``until``) at which a series would have had samples."""
    near = gauge.times[(gauge.times > after - VIEW) & (gauge.times < until + VIEW)]
    if not near.size:
        return no_times()
    steps = np.diff(near)
    usual = int(steps.min()) if steps.size else USUAL_INTERVAL
    times = np.arange(after + usual, until, max(1000, usual), dtype=np.int64)
    if scrapes is None or not scrapes.bad.size:
        return times
    # Those that failed are known one by one.
    place = np.searchsorted(scrapes.bad, times)
    before = np.concatenate(([_BEFORE], scrapes.bad))[place]
    after_it = np.concatenate((scrapes.bad, [_AFTER]))[place]
    return times[(times - before >= usual) & (after_it - times >= usual)]


def known_since(reading: Reading, selector: Selector) -> dict[Labels, Times]:
    """Collect by target since when (ms, in order) each series is known that it ever showed."""
    first = {
        gauge.labels: int(gauge.times[0]) for gauge in reading.series[selector] if gauge.times.size
    } | dict.fromkeys(reading.formerly.get(selector, ()), NEVER)
    by_target: dict[Labels, list[int]] = defaultdict(list)
    for labels, time in first.items():
        by_target[reading.targets.target_of(labels)].append(time)
    return {target: np.sort(np.array(times, np.int64)) for target, times in by_target.items()}


def sizes(
    known: Mapping[Labels, Times], series: Sequence[Series], targets: Mapping[Labels, Scrapes], until: int
) -> dict[Labels, int]:
    """Say how many series each target that fails could show: as many as it ever did up to ``until`` (ms).

    One that never showed any could show as many as the one of its job that shows most.
    """
    failing = [target for target, seen in targets.items() if seen.bad.size]
    most: dict[str, int] = {}
    by_target: dict[Labels, list[Times]] = defaultdict(list)
    for gauge in series if failing else ():
        by_target[gauge.target].append(gauge.times)
    for target, times in by_target.items():
        job = dict(target).get("job", "")
        at_once = int(np.unique(np.concatenate(times), return_counts=True)[1].max(initial=0))
        most[job] = max(most.get(job, 0), at_once)
    found = {}
    for target in failing:
        ever = int(np.searchsorted(known.get(target, no_times()), until, side="right"))
        found[target] = ever or max(1, most.get(dict(target).get("job", ""), 0))
    return found


def of_failed(scrapes: Scrapes, shown: Sequence[Series], size: int) -> Times:
    """Name the samples that failed scrapes of a target did not take, each by the time of its scrape.

    ``shown``: its series. Further than VIEW from all of them it lacks ``size``.
    """
    failed = scrapes.bad
    lacking, near = np.zeros(failed.size, np.int64), np.zeros(failed.size, np.bool_)
    for gauge in shown:
        there = alive(gauge, failed)
        lacking += there
        near |= (failed - previous(gauge.times, failed) <= VIEW) | (
            following(gauge.times, failed) - failed <= VIEW
        )
    return np.repeat(failed, np.where(near, lacking, np.maximum(lacking, size)))
