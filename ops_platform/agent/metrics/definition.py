"""Definition of a metric, and a sample of it: the values that every metrics module is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric: its name (a counter's ends in ``_total``), type, help text and label names."""

    name: str
    type: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One value of a metric; ``labels`` are values, in the order of the metric's definition."""

    name: str
    labels: tuple[str, ...]
    value: float


def gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Metric:
    """Define a metric that may go up and down."""
    return Metric(name, "gauge", help_text, labels)


def counter(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Metric:
    """Define a metric that never decreases; its name ends in ``_total``."""
    return Metric(name, "counter", help_text, labels)


def known_sample(
    name: str, labels: tuple[str, ...], value: float | bool | datetime | None
) -> Iterator[Sample]:
    """Yield one sample of a known value, none of an unknown one (None); a time becomes Unix seconds."""
    if value is not None:
        yield Sample(name, labels, value.timestamp() if isinstance(value, datetime) else float(value))
