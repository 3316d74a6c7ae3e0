"""Raw samples of counters as integers: what Prometheus stores, checked to be countable. No arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops_platform.errors import CheckFailed

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value."""
Times = NDArray[np.int64]
"""Milliseconds since the epoch, which is how finely Prometheus stores them."""
Values = NDArray[np.int64]

EXACT = 2**53
"""Up to here a float counts every event."""


def labels_of(pairs: Mapping[str, str], without: Iterable[str] = ()) -> Labels:
    left_out = set(without)
    return tuple(sorted((name, value) for name, value in pairs.items() if name not in left_out))


@dataclass(frozen=True)
class Series:
    """One counter of one target: strictly increasing ``times`` and the value at each."""

    labels: Labels
    times: Times
    values: Values

    @classmethod
    def parse(cls, labels: Labels, samples: Sequence[tuple[float, float]]) -> Series:
        """From (Unix seconds, value). Raises CheckFailed when it does not count whole events."""
        raw = np.asarray(samples, dtype=np.float64).reshape(-1, 2)
        times, values = np.rint(raw[:, 0] * 1000).astype(np.int64), raw[:, 1]
        for wrong, what in (
            (~np.isfinite(values), "is not a number"),
            (values < 0, "is negative"),
            (values != np.floor(values), "is fractional"),
            (values > EXACT, f"is above 2^53 ({EXACT}), where a float no longer counts every event"),
        ):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise CheckFailed(
                    f"{show(labels)} is {values[at]:g} at {raw[at, 0]:.3f}, which {what}: "
                    "an objective needs a counter of events"
                )
        if (np.diff(times) <= 0).any():
            raise CheckFailed(f"{show(labels)} has samples out of order")
        return cls(labels, times, values.astype(np.int64))

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
