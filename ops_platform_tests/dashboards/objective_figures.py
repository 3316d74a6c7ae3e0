"""Figures of invented objectives under the names of the agent's metrics and of the recording rules.

``api`` spends its budget fast, ``media`` has overspent it and counts over 28 days, ``webhooks`` has a
target of 100 % and so no budget, ``quiet`` burns nothing, and ``publishing`` is there to be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops_platform.agent.metrics import FigureState, ObjectiveState

WINDOWS = ("1d", "7d", "30d", "month")
RATES = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True)
class Invented:
    """``counts``: window -> (good, total); None: a source was missing. ``bad``: by window of the rules."""

    service: str
    slo: str
    target: float
    counts: Mapping[str, tuple[int, int] | None]
    bad: Mapping[str, float]
    days: int = 30
    measured_ago: float = 900
    excluded: bool = False

    @property
    def labels(self) -> dict[str, str]:
        return {"service": self.service, "slo": self.slo}

    @property
    def period(self) -> str:
        return f"{self.days}d"

    @property
    def budget(self) -> float:
        return 1 - self.target / 100

    def state(self, window: str) -> str:
        count = self.counts[window]
        if count is None:
            return "source_missing"
        return "ok" if count[1] else "no_data"

    def achieved(self, window: str) -> float | None:
        count = self.counts[window]
        return 100 * count[0] / count[1] if count and count[1] else None

    def left(self, window: str) -> float | None:
        count = self.counts[window]
        if not count or not self.budget:
            return None
        return 100 * (1 - (count[1] - count[0]) / (self.budget * count[1])) if count[1] else 100.0

    def verdict(self, window: str) -> str:
        """What a known count of the window is judged to be; of a missing one nothing is certain."""
        count, left = self.counts[window], self.left(window)
        if count is None:
            return "undecided"
        if left is None:
            return "met" if count[0] == count[1] else "breached"
        return "breached" if left <= 1e-9 else "at risk" if left <= 25 else "met"


def evenly(good: int, total: int) -> dict[str, tuple[int, int] | None]:
    return {window: (good * size, total * size) for size, window in enumerate(WINDOWS, 1)}


def rates(*bad: float, period: float, days: int = 30) -> dict[str, float]:
    return {**dict(zip(RATES, bad, strict=True)), f"{days}d": period}


API = Invented(
    "api",
    "availability",
    99.9,
    {"1d": (9_995, 10_000), "7d": (69_980, 70_000), "30d": (299_940, 300_000), "month": (149_990, 150_000)},
    rates(0.0144, 0.012, 0.006, 0.005, 0.004, 0.003, 0.002, period=0.0005),
    excluded=True,
)
MEDIA = Invented(
    "media",
    "transcoding",
    90,
    evenly(80, 100) | {"28d": (85, 100)},
    rates(0.21, 0.22, 0.23, 0.24, 0.25, 0.26, 0.27, period=0.15, days=28),
    days=28,
    measured_ago=8000,
)
WEBHOOKS = Invented(
    "webhooks",
    "signatures",
    100,
    {"1d": (0, 0), "7d": None, "30d": (30, 30), "month": (29_999_999, 30_000_000)},
    rates(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, period=0.5),
)
QUIET = Invented("quiet", "latency", 95, evenly(10, 10), rates(0, 0, 0, 0, 0, 0, 0, period=0))
LEFT_OUT = Invented("publishing", "latency", 95, evenly(9, 10), rates(1, 1, 1, 1, 1, 1, 1, period=1))
CHOSEN = (API, MEDIA, WEBHOOKS, QUIET)


@dataclass(frozen=True)
class Served:
    """A gauge's sample."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def served() -> Iterator[Served]:
    """What no exporter of ours serves."""
    for one in (*CHOSEN, LEFT_OUT):
        yield from recorded(one)


def known(one: Invented, start: float) -> ObjectiveState:
    """What the agent knows of an objective, as it was at ``start``."""
    return ObjectiveState(
        one.service,
        one.slo,
        one.target,
        one.excluded,
        one.period,
        datetime.fromtimestamp(start - one.measured_ago, UTC),
        tuple(
            FigureState(  # type: ignore[call-arg]
                window,
                one.state(window),
                *(one.counts[window] or (None, None)),
                one.achieved(window),
                one.left(window),
                one.verdict(window),
            )
            for window in one.counts
        ),
    )


def exposed(name: str) -> str:
    """Colons are for rules; no exporter may use them."""
    return name.replace(":", "_")


def recording_rules() -> dict[str, Any]:
    """Rules that record what was exposed, under the names of the real ones."""
    names = sorted({one.name for invented in CHOSEN for one in recorded(invented)})
    return {
        "groups": [
            {
                "name": "recorded",
                "rules": [
                    {"record": name, "expr": f"max without (job, instance) ({exposed(name)})"}
                    for name in names
                ],
            }
        ]
    }


def recorded(one: Invented) -> Iterator[Served]:
    """What the rules say of it."""
    labels = {
        "sloth_id": f"{one.service}-{one.slo}",
        "sloth_service": one.service,
        "sloth_slo": one.slo,
    }
    for window, bad in one.bad.items():
        yield Served(f"slo:sli_error:ratio_rate{window}", bad, {**labels, "sloth_window": window})
    for name in ("slo:events:rate5m", "slo:bad_events:rate5m"):
        yield Served(name, 1, labels)
        yield Served(f"{name}_every5m", 1, labels)
    info = {"objective": f"{one.target:g}", "mode": "ops-platform", "spec": "openslo/v1"}
    yield Served(
        "sloth_slo_info",
        1,
        {**labels, "sloth_version": "ops-platform", **{f"sloth_{key}": text for key, text in info.items()}},
    )
    yield Served("slo:objective:ratio", one.target / 100, labels)
    yield Served("slo:error_budget:ratio", one.budget, labels)
    yield Served("slo:time_period:days", one.days, labels)
    if one.budget:
        whole = one.bad[f"{one.days}d"] / one.budget
        yield Served("slo:current_burn_rate:ratio", one.bad["5m"] / one.budget, labels)
        yield Served("slo:period_burn_rate:ratio", whole, labels)
        yield Served("slo:period_error_budget_remaining:ratio", 1 - whole, labels)
