"""Least and most of what cannot be counted. Not here: how they come about (``counting.event_bounds``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Least and most good and bad events of a time; the same where they are known."""

    good_least: int
    good_most: int
    bad_least: int
    bad_most: int

    @classmethod
    def exactly(cls, good: int, bad: int) -> Bounds:
        """Bound what is known."""
        return cls(good, good, bad, bad)

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(
            self.good_least + other.good_least,
            self.good_most + other.good_most,
            self.bad_least + other.bad_least,
            self.bad_most + other.bad_most,
        )

    def __sub__(self, other: Bounds) -> Bounds:
        """Take away windows that were added, to get the sum of the others."""
        return Bounds(
            self.good_least - other.good_least,
            self.good_most - other.good_most,
            self.bad_least - other.bad_least,
            self.bad_most - other.bad_most,
        )
