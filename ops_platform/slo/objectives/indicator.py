"""Which events are counted, and which of them are good: counters, samples of a gauge, slices of time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ops_platform.slo.objectives.promql import Gauge
from ops_platform.slo.objectives.selector import Selector

PARTS = 1_000_000
"""The parts of which a share is counted where shares are added up: rounded down to a millionth."""
Operator = Literal["lt", "lte", "gt", "gte"]


@dataclass(frozen=True)
class Slicing:
    """Time slices of ``seconds`` that are counted in place of the events in them.

    ``target``: the share of good events that makes a slice a good one; None: each slice counts as the share
    of its events that are good.
    """

    seconds: int
    target: Fraction | None = None

    def __str__(self) -> str:
        return f"{self.seconds}s {'by its share' if self.target is None else self.target}"


@dataclass(frozen=True)
class Indicator:
    """Good events out of all; exactly one of ``good`` and ``bad`` is given."""

    total: Selector
    good: Selector | None = None
    bad: Selector | None = None
    slicing: Slicing | None = None
    source: str | None = None
    """The name of the Prometheus that has them; None: the only one, or the first."""

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Those of good, bad and total that are given."""
        return tuple(selector for selector in (self.good, self.bad, self.total) if selector is not None)

    @property
    def definition(self) -> dict[str, str | None]:
        """What is counted, as text."""
        texts = {name: None if part is None else str(part) for name, part in self._parts.items()}
        return {**texts, **_kept(self.slicing, self.source)}

    @property
    def _parts(self) -> dict[str, Selector | None]:
        return {"good": self.good, "bad": self.bad, "total": self.total}

    @property
    def unit(self) -> str:
        """What is counted, in a word."""
        return _unit("events", self.slicing, parts=self.shares)

    @property
    def shares(self) -> bool:
        """Whether shares of good ones are added up, in PARTS, and not whole events or slices."""
        return self.slicing is not None and self.slicing.target is None

    @property
    def version(self) -> str:
        """A hash that changes when other events are counted."""
        # Without slices and without the name of a source it must stay what it was before there were any.
        texts = {name: str(part) for name, part in self._parts.items()}
        return digest({**texts, **_kept(self.slicing, self.source)})


@dataclass(frozen=True)
class GaugeIndicator:
    """Samples of a gauge, or its values at every full minute, each good or not.

    Good is what compares to ``value`` as ``operator`` says. Without an operator each sample is a share
    itself, from 0 to 1, of good events; of bad ones when ``inverted``.
    """

    gauge: Gauge
    operator: Operator | None = None
    value: Fraction = Fraction(0)
    inverted: bool = False
    slicing: Slicing | None = None
    source: str | None = None
    good: None = None
    bad: None = None
    """No counters."""

    @property
    def total(self) -> Selector:
        """The selector whose samples are counted."""
        return self.gauge.selector

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selector whose samples are counted."""
        return (self.gauge.selector,)

    @property
    def definition(self) -> dict[str, str | None]:
        """What is counted, as text."""
        if self.operator is None:
            good: dict[str, str | None] = {("bad share" if self.inverted else "good share"): str(self.gauge)}
        else:
            good = {"value": str(self.gauge), "good": f"{self.operator} {self.value}"}
        return {**good, **_kept(self.slicing, self.source)}

    @property
    def unit(self) -> str:
        """What is counted, in a word."""
        return _unit("minutes" if self.gauge.computed else "samples", self.slicing, parts=self.shares)

    @property
    def shares(self) -> bool:
        """Whether shares of good ones are added up, in PARTS, and not whole samples or slices."""
        return self.operator is None if self.slicing is None else self.slicing.target is None

    @property
    def version(self) -> str:
        """A hash that changes when other samples are counted."""
        return digest({**self.definition, "source": self.source})


AnyIndicator = Indicator | GaugeIndicator


def digest(value: object) -> str:
    """Hash plain values to twelve hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _kept(slicing: Slicing | None, source: str | None) -> dict[str, str | None]:
    given = {"slices": None if slicing is None else str(slicing), "source": source}
    return {name: text for name, text in given.items() if text is not None}


def _unit(counted: str, slicing: Slicing | None, *, parts: bool) -> str:
    if slicing is not None:
        counted = "time slices"
    return f"millionths of {counted}" if parts else counted
