"""Generated lives of a counter: scrapes with jitter, failures and silence, restarts, labels that are born
late, forgotten for a while, or changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from ops_platform.slo.counting.samples import Labels, Series
from ops_platform.slo.counting.scrapes import HORIZON, Scrapes

INTERVAL = 60_000

# Made once: a strategy that is made for one draw is examined anew for it, which takes as long as the draw.
_YES = st.booleans()
_FIRST = st.integers(0, INTERVAL)
_AGE = st.integers(0, 3 * HORIZON)
_FIRST_VALUE = st.integers(0, 5)
_STRETCHES = st.integers(1, 8)
_HOW = st.sampled_from(["good", "good", "good", "bad", "absent"])
_LENGTH = st.integers(1, 12)
_CHANGE = st.sampled_from(["stays", "counts", "counts", "restarts", "forgets", "hides", "renames"])
_LABEL = st.sampled_from(["x", "x", "y"])
_MORE = st.integers(1, 100)
_VALUE_AT_START = st.integers(0, 3)
_SINCE_START = st.integers(0, INTERVAL - 1)
_JITTER = st.integers(-20_000, 20_000)


@dataclass(frozen=True)
class Tick:
    """One moment at which a target may be scraped."""

    at: int
    how: str
    """good or bad."""
    shown: tuple[tuple[str, int], ...]
    """What each series of the target shows, by its label."""
    started: int | None
    """Since when the process runs, if it says so."""

    def value(self, name: str) -> int | None:
        return dict(self.shown).get(name) if self.how == "good" else None


@dataclass(frozen=True)
class Life:
    target: Labels
    ticks: tuple[Tick, ...]
    happened: int
    """Events that there were at most, before the first tick and since."""
    before: tuple[Tick, ...] = ()
    """What lies before the part that is looked at."""

    def within(self, since: int, until: int) -> Life:
        return Life(
            self.target,
            tuple(one for one in self.ticks if since < one.at <= until),
            self.happened,
            tuple(one for one in self.ticks if one.at <= since),
        )

    @property
    def names(self) -> list[str]:
        return sorted({name for one in self.ticks if one.how == "good" for name, _ in one.shown})

    @property
    def series(self) -> list[Series]:
        return [self._series(name) for name in self.names]

    def _series(self, name: str) -> Series:
        seen = [(one.at, one.value(name)) for one in self.ticks if one.value(name) is not None]
        earlier = [(one.at, value) for one in self.before if (value := one.value(name)) is not None]
        return Series(
            (("__name__", "events_total"), ("code", name), *self.target),
            np.array([at for at, _ in seen], np.int64),
            np.array([value for _, value in seen], np.int64),
            bool(earlier),
            earlier[-1] if earlier else None,
        )

    @property
    def scrapes(self) -> Scrapes:
        good = [one for one in self.ticks if one.how == "good"]
        told = [one for one in good if one.started is not None]
        return Scrapes(
            _times(good),
            _times([one for one in self.ticks if one.how == "bad"]),
            _times(told),
            np.array([one.started for one in told], np.int64),
        )


def _times(ticks: list[Tick]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([one.at for one in ticks], np.int64)


@st.composite
def lives(draw: st.DrawFn, name: str = "a") -> Life:
    """Hours of one target; stretches of scrapes that succeed, fail, or are not made."""
    at = draw(_FIRST)
    tells = draw(_YES)
    started = at - draw(_AGE)
    values = {"x": draw(_FIRST_VALUE)}
    happened = values["x"]
    hidden = {"x"} if draw(_YES) else set[str]()
    forgotten = set[str]()
    ticks: list[Tick] = []
    for _ in range(draw(_STRETCHES)):
        how = draw(_HOW)
        for _ in range(draw(_LENGTH)):
            what = draw(_CHANGE)
            label = draw(_LABEL)
            if what == "counts":
                more = draw(_MORE)
                values[label] = values.get(label, 0) + more
                happened += more
                hidden -= {label}
            elif what == "restarts":
                values = {"x": draw(_VALUE_AT_START)}
                happened += values["x"]
                hidden = {"x"} if draw(_YES) else set()
                started = at - draw(_SINCE_START)
            elif what == "forgets":
                # As exporters do with labels that were long not used: the next event is the first one.
                values.pop(label, None)
                forgotten.add(label)
            elif what == "hides":
                # As a rule for relabelling does: the counter goes on.
                hidden |= {label}
            elif what == "renames" and len(values) == 1:
                [(each, value)] = values.items()
                other = "y" if each == "x" else "x"
                # To take the place of one that was just forgotten would deceive anybody.
                values = {each if other in forgotten else other: value}
            if how != "absent":
                shown = tuple((each, value) for each, value in sorted(values.items()) if each not in hidden)
                ticks.append(Tick(at, how, shown, started if tells else None))
            at += INTERVAL + draw(_JITTER)
    return Life((("instance", name), ("job", "product")), tuple(ticks), happened)


def times_around(history: list[Life]) -> tuple[int, int]:
    every = [one.at for life in history for one in life.ticks]
    return (min(every), max(every)) if every else (0, INTERVAL)
