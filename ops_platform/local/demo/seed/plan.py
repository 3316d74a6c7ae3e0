"""Numbers of rows by table at a scale. Pure arithmetic, no database.

Scale 1 is about 100 MB. The number of creators and all other rows grow with the scale, but a
heavy creator has the same rows at every scale from 1 on: the cost of erasing one can be compared
between a small database and a large one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.errors import ConfigurationError

BASE_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""All seeded rows are from before this moment, whenever the seed runs; traffic is later."""

MONTHS = 12
"""Months of usage logs before BASE_TIME."""

CREATORS_WITH_OBJECTS = 40
"""Creators 1 .. CREATORS_WITH_OBJECTS have an avatar and media files in the bucket, at every scale."""

SMALLEST_SCALE, LARGEST_SCALE = 0.01, 1000.0

_ROWS = {
    "creators": 10_000,
    "posts": 24_000,
    "comments": 40_000,
    "media": 5_500,
    "sessions": 10_000,
    "collaborations": 5_000,
    "workflows": 3_000,
    "webhooks": 2_000,
    "webhook_deliveries": 16_000,
    "usage_logs": 108_000,
    "audit_logs": 20_000,
    "ledger_entries": 24_000,
}
_HEAVY_CREATORS = 4
_HEAVY_ROWS = {
    "posts": 400,
    "comments": 1_500,
    "media": 120,
    "sessions": 200,
    "webhook_deliveries": 600,
    "usage_logs": 8_000,
    "audit_logs": 500,
}


@dataclass(frozen=True)
class Plan:
    """Numbers of rows at one scale."""

    scale: float

    def rows(self, table: str) -> int:
        """Compute the total number of rows in a table, heavy creators' share included."""
        return round(_ROWS[table] * self.scale)

    def heavy_rows(self, table: str) -> int:
        """Compute the number of rows of one heavy creator in a table."""
        return max(1, round(_HEAVY_ROWS[table] * min(1.0, self.scale)))

    @property
    def creators(self) -> int:
        """Number of creators."""
        return self.rows("creators")

    @property
    def heavy(self) -> int:
        """Number of heavy creators: creators 1 .. heavy."""
        return max(1, round(_HEAVY_CREATORS * self.scale))

    def parameters(self) -> dict[str, int]:
        """Make the seed's SQL parameters: totals, and ``heavy_...`` of all heavy creators together."""
        heavy = {f"heavy_{table}": self.heavy * self.heavy_rows(table) for table in _HEAVY_ROWS}
        return {table: self.rows(table) for table in _ROWS} | heavy | {"heavy": self.heavy}


def plan(scale: float) -> Plan:
    """Make the plan for a scale. Raises ConfigurationError outside SMALLEST_SCALE .. LARGEST_SCALE."""
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ConfigurationError(
            f"the demo's scale must be from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}, not {scale:g}: "
            "correct OPS_DEMO_SCALE"
        )
    return Plan(scale)
