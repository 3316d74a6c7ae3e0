"""Raw samples of counters as integers: what Prometheus stores, checked to be countable. No arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ops_platform.errors import Unavailable

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value."""
Times = NDArray[np.int64]
"""Milliseconds since the epoch, which is how finely Prometheus stores them."""
Values = NDArray[np.int64]
Mask = NDArray[np.bool_]


def none() -> Times:
    return np.empty(0, np.int64)


EXACT = 2**53
"""Up to here a float counts every event."""


def labels_of(pairs: Mapping[str, str], without: Iterable[str] = ()) -> Labels:
    left_out = set(without)
    return tuple(sorted((name, value) for name, value in pairs.items() if name not in left_out))


@dataclass(frozen=True)
class Flaw:
    """Samples of a series that count no events, and what is wrong with them."""

    times: Times
    reason: str


@dataclass(frozen=True)
class Series:
    """One counter of one target: strictly increasing ``times`` and the value at each."""

    labels: Labels
    times: Times
    values: Values
    known: bool = False
    """Whether there are samples before these; ``earlier``: time and value of the last one, if asked for."""
    earlier: tuple[int, int] | None = None

    @classmethod
    def parse(cls, labels: Labels, samples: Sequence[tuple[float, float]]) -> tuple[Series, list[Flaw]]:
        """From (Unix seconds, value): what counts whole events, and what does not.

        Raises Unavailable when the samples are out of order.
        """
        raw = np.asarray(samples, dtype=np.float64).reshape(-1, 2)
        times, values = np.rint(raw[:, 0] * 1000).astype(np.int64), raw[:, 1]
        if (np.diff(times) <= 0).any():
            raise Unavailable(f"Prometheus answered {show(labels)} with samples out of order")
        flaws = []
        whole = np.ones(times.size, np.bool_)
        for wrong, what in (
            (~np.isfinite(values), "no numbers"),
            (values < 0, "negative"),
            (values != np.floor(values), "fractional"),
            (values > EXACT, f"above 2^53 ({EXACT}), where a float no longer counts every event"),
        ):
            flawed = wrong & whole
            if flawed.any():
                reason = f"values of {show(labels)} are {what}: an objective needs a counter of events"
                flaws.append(Flaw(times[flawed], reason))
            whole &= ~wrong
        return cls(labels, times[whole], values[whole].astype(np.int64)), flaws

    def after(self, earlier: tuple[int, int] | None) -> Series:
        """With what was there before."""
        return replace(self, known=True, earlier=earlier)

    def between(self, after: int, until: int) -> Series:
        """The samples in (``after``, ``until``]."""
        low, high = np.searchsorted(self.times, [after, until], side="right")
        return Series(self.labels, self.times[low:high], self.values[low:high])

    def label(self, name: str) -> str:
        return next((value for key, value in self.labels if key == name), "")

    @property
    def target(self) -> Labels:
        """What was scraped: the labels that Prometheus itself attaches."""
        return target_of(self.labels)


def target_of(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] in ("job", "instance"))


def show(labels: Labels) -> str:
    """As PromQL writes it."""
    name = next((value for key, value in labels if key == "__name__"), "")
    inside = ",".join(f'{key}="{value}"' for key, value in labels if key != "__name__")
    return f"{name}{{{inside}}}"


def fingerprint(series: Iterable[Series], after: int, until: int) -> str:
    """SHA-256 over the samples in (``after``, ``until``], whatever order they came in."""
    digest = hashlib.sha256()
    for one in sorted(series, key=lambda each: each.labels):
        part = one.between(after, until)
        if part.times.size:
            digest.update(repr(one.labels).encode())
            digest.update(part.times.astype("<i8").tobytes())
            digest.update(part.values.astype("<i8").tobytes())
    return digest.hexdigest()
