"""Timings, ratios of them, and the targets beside them. Knows nothing of what is measured."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Timing:
    """What was done, how long each repetition took (seconds), and how many bytes it worked on."""

    name: str
    seconds: tuple[float, ...]
    bytes: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest over fastest: how much the machine had to do with it."""
        return max(self.seconds) / min(self.seconds)

    @property
    def rate(self) -> float | None:
        """Megabytes a second."""
        return None if self.bytes is None else self.bytes / self.median / 1e6


@dataclass(frozen=True)
class Target:
    """One ratio or difference that was promised. ``met`` is this run's answer on this machine."""

    name: str
    value: float
    limit: float
    unit: str = "x"
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Report:
    """One benchmark's outcome. Ratios are to the timing called ``base``."""

    name: str
    base: str
    timings: list[Timing] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def timing(self, name: str) -> Timing:
        return next(timing for timing in self.timings if timing.name == name)

    def ratio(self, timing: Timing) -> float:
        return timing.median / self.timing(self.base).median

    def as_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "base": self.base,
            "timings": [
                {
                    "name": timing.name,
                    "seconds": [round(seconds, 4) for seconds in timing.seconds],
                    "median_seconds": round(timing.median, 4),
                    "megabytes_per_second": None if timing.rate is None else round(timing.rate, 1),
                    "ratio": round(self.ratio(timing), 3),
                }
                for timing in self.timings
            ],
            "targets": [
                {
                    "name": target.name,
                    "value": round(target.value, 3),
                    "limit": target.limit,
                    "unit": target.unit,
                    "comparison": ">=" if target.at_least else "<=",
                    "met": target.met,
                }
                for target in self.targets
            ],
            "notes": self.notes,
            "facts": self.facts,
        }

    def show(self, console: Console) -> None:
        table = Table(title=self.name, title_justify="left")
        for column, justify in (("", "left"), ("median s", "right"), ("all s", "left"), ("MB/s", "right")):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        table.add_column(f"x {self.base}", justify="right")
        for timing in self.timings:
            table.add_row(
                timing.name,
                _short(timing.median),
                " ".join(_short(seconds) for seconds in timing.seconds),
                "" if timing.rate is None else f"{timing.rate:.0f}",
                f"{self.ratio(timing):.2f}",
            )
        console.print(table)
        for target in self.targets:
            sign = ">=" if target.at_least else "<="
            verdict = "met" if target.met else "NOT MET in this run"
            promised = f"{sign} {target.limit:g} {target.unit}"
            console.print(f"  {target.name}: {target.value:.2f} {target.unit} ({promised}): {verdict}")
        for note in self.notes:
            console.print(f"  {note}")
        console.print()


def _short(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.4f}"


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` took."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def write(path: Path, reports: list[Report]) -> None:
    text = json.dumps({"reports": [report.as_json() for report in reports]}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
