"""Bounds of events as columns of tables: their names, and rows to and from ``Bounds``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from ops_platform.slo.bounds import Bounds

NAMES = ("good_least", "good_most", "bad_least", "bad_most")
"""In the order of ``Bounds``; those of adjusted counts begin with ``adjusted_``."""


def columns(bounds: Bounds | None, prefix: str = "") -> dict[str, int | None]:
    """Spread bounds over their columns; None where there are none."""
    values = (None,) * len(NAMES) if bounds is None else astuple(bounds)
    return {f"{prefix}{name}": value for name, value in zip(NAMES, values, strict=True)}


def bounds_of(row: Mapping[str, Any], prefix: str = "") -> Bounds | None:
    """Read the bounds of a stored window: exact where it is known, None where nothing bounds it."""
    good, total = row[f"{prefix}good"], row[f"{prefix}total"]
    if good is not None and total is not None:
        return Bounds.exactly(int(good), int(total) - int(good))
    values = [row[f"{prefix}{name}"] for name in NAMES]
    return None if None in values else Bounds(*(int(value) for value in values))
