"""Raw samples of counters as integers, as Prometheus stores them, checked to be countable. No arithmetic."""

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


def no_times() -> Times:
    """Make an empty array of times; also of values."""
    return np.empty(0, np.int64)


EXACT = 2**53
"""The largest value up to which a float counts every event."""


def labels_of(pairs: Mapping[str, str], without: Iterable[str] = ()) -> Labels:
    """Sort labels into the form in which they are compared, leaving out the names in ``without``."""
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
    """Whether there are samples before these."""
    earlier: tuple[int, int] | None = None
    """Time (ms) and value of the last sample before these, if it was asked for."""
    scraped: Labels | None = None
    """Labels of the target that shows it; None: job and instance are all that is known of it."""

    @classmethod
    def parse(
        cls, labels: Labels, samples: Sequence[tuple[float, float]] | NDArray[np.float64]
    ) -> tuple[Series, list[Flaw]]:
        """Split samples of (Unix seconds, value) into those that count whole events, and flaws.

        Raises Unavailable when the samples are out of order.
        """
        raw = np.asarray(samples, dtype=np.float64).reshape(-1, 2)
        times, values = np.rint(raw[:, 0] * 1000).astype(np.int64), raw[:, 1]
        if (np.diff(times) <= 0).any():
            raise Unavailable(f"Prometheus answered {show(labels)} with samples out of order")
        flaws = []
        whole = np.ones(times.size, np.bool_)
        for wrong, complaint in (
            (~np.isfinite(values), "no numbers (nor is a native histogram)"),
            (values < 0, "negative"),
            (values != np.floor(values), "fractional"),
            (values > EXACT, f"above 2^53 ({EXACT}), where a float no longer counts every event"),
        ):
            flawed = wrong & whole
            if flawed.any():
                reason = f"values of {show(labels)} are {complaint}: an objective needs a counter of events"
                flaws.append(Flaw(times[flawed], reason))
            whole &= ~wrong
        return cls(labels, times[whole], values[whole].astype(np.int64)), flaws

    @classmethod
    def of_gauge(cls, labels: Labels, samples: Sequence[tuple[float, float]] | NDArray[np.float64]) -> Series:
        """Keep the samples of a gauge, (Unix seconds, value), whatever they are.

        Raises Unavailable when the samples are out of order.
        """
        raw = np.asarray(samples, dtype=np.float64).reshape(-1, 2)
        times = np.rint(raw[:, 0] * 1000).astype(np.int64)
        if (np.diff(times) <= 0).any():
            raise Unavailable(f"Prometheus answered {show(labels)} with samples out of order")
        return cls(labels, times, raw[:, 1].copy().view(np.int64))

    def with_earlier(self, earlier: tuple[int, int] | None) -> Series:
        """Add the last sample before these, (ms, value); None when it is known to exist and was not read."""
        return replace(self, known=True, earlier=earlier)

    def between(self, after: int, until: int) -> Series:
        """Cut out the samples in (``after``, ``until``], in milliseconds."""
        low, high = np.searchsorted(self.times, [after, until], side="right")
        return Series(self.labels, self.times[low:high], self.values[low:high])

    def label(self, name: str) -> str:
        """Read a label; empty when the series does not have it, as in PromQL."""
        return next((value for key, value in self.labels if key == name), "")

    @property
    def gauge_values(self) -> NDArray[np.float64]:
        """The values of a gauge, whose bits ``values`` holds."""
        return self.values.view(np.float64)

    @property
    def target(self) -> Labels:
        """The scraped target: all labels that Prometheus itself attaches."""
        return address_of(self.labels) if self.scraped is None else self.scraped

    @property
    def own_labels(self) -> Labels:
        """The labels that the target's process gave it, not those of the target."""
        attached = {name for name, _ in self.target}
        return tuple(pair for pair in self.labels if pair[0] not in attached)


def address_of(labels: Labels) -> Labels:
    """Keep the labels that every target has: job and instance."""
    return tuple(pair for pair in labels if pair[0] in ("job", "instance"))


def show(labels: Labels) -> str:
    """Write labels as PromQL does: ``name{key="value"}``."""
    name = next((value for key, value in labels if key == "__name__"), "")
    inside = ",".join(f'{key}="{value}"' for key, value in labels if key != "__name__")
    return f"{name}{{{inside}}}"


def fingerprint(series: Iterable[Series], after: int, until: int) -> str:
    """Hash (SHA-256) the samples in (``after``, ``until``], in whatever order the series come."""
    digest = hashlib.sha256()
    for counter in sorted(series, key=lambda unsorted: unsorted.labels):
        part = counter.between(after, until)
        if part.times.size:
            digest.update(repr(counter.labels).encode())
            digest.update(part.times.astype("<i8").tobytes())
            digest.update(part.values.astype("<i8").tobytes())
    return digest.hexdigest()
