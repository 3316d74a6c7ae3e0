"""Generated lives of a counter: scrapes with jitter, failures and silence, restarts, labels born late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from ops_platform.slo.counters import HORIZON, Scrapes
from ops_platform.slo.samples import Labels, Series

INTERVAL = 60_000


@dataclass(frozen=True)
class Tick:
    """One moment at which a target may be scraped."""

    at: int
    how: str
    """good, bad or absent."""
    value: int | None
    """What the counter shows; None: it has no such series (yet)."""
    started: int | None
    """Since when the process runs, if it says so."""


@dataclass(frozen=True)
class Life:
    target: Labels
    ticks: tuple[Tick, ...]

    def within(self, since: int, until: int) -> Life:
        return Life(self.target, tuple(one for one in self.ticks if since < one.at <= until))

    @property
    def series(self) -> Series:
        seen = [one for one in self.ticks if one.how == "good" and one.value is not None]
        labels = (("__name__", "events_total"), *self.target)
        return Series(labels, _times(seen), np.array([one.value for one in seen], np.int64))

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
    at = draw(st.integers(0, INTERVAL))
    tells = draw(st.booleans())
    started, value, shown = (
        at - draw(st.integers(0, 3 * HORIZON)),
        draw(st.integers(0, 5)),
        draw(st.booleans()),
    )
    ticks: list[Tick] = []
    for _ in range(draw(st.integers(1, 8))):
        how = draw(st.sampled_from(["good", "good", "good", "bad", "absent"]))
        for _ in range(draw(st.integers(1, 12))):
            what = draw(st.sampled_from(["stays", "counts", "counts", "restarts", "hides"]))
            if what == "counts":
                value, shown = value + draw(st.integers(1, 100)), True
            elif what == "restarts":
                value, shown = draw(st.integers(0, 3)), draw(st.booleans())
                started = at - draw(st.integers(0, INTERVAL - 1))
            elif what == "hides":
                value, shown = 0, False
            if how != "absent":
                ticks.append(Tick(at, how, value if shown else None, started if tells else None))
            at += INTERVAL + draw(st.integers(-20_000, 20_000))
    return Life((("instance", name), ("job", "product")), tuple(ticks))


def times_around(history: list[Life]) -> tuple[int, int]:
    every = [one.at for life in history for one in life.ticks]
    return (min(every), max(every)) if every else (0, INTERVAL)
