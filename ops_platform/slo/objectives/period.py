"""The time over which a budget is spent: the last days, or a calendar's weeks, months, quarters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["d", "w", "M", "Q"]
_NOMINAL_DAYS: dict[Unit, int] = {"d": 1, "w": 7, "M": 30, "Q": 91}
_LONGEST_DAYS: dict[Unit, int] = {"d": 1, "w": 7, "M": 31, "Q": 92}
_TEXT = re.compile(r"(?P<count>\d+)(?P<unit>[dwMQ]) from (?P<first>\S+) (?P<zone>\S+)")


@dataclass(frozen=True)
class Calendar:
    """Periods of ``count`` units, one after the other, from ``first`` on by the clocks of ``zone``."""

    count: int
    unit: Unit
    first: datetime
    """Without a time zone."""
    zone: str

    def __str__(self) -> str:
        return f"{self.count}{self.unit} from {self.first.isoformat()} {self.zone}"

    def boundary(self, number: int) -> datetime:
        """Compute when the period of this number begins, in UTC; 0 begins at ``first``."""
        if self.unit in ("d", "w"):
            days = number * self.count * _NOMINAL_DAYS[self.unit]
            local = self.first + timedelta(days=days)
        else:
            months = self.first.month - 1 + number * self.count * (3 if self.unit == "Q" else 1)
            local = self.first.replace(year=self.first.year + months // 12, month=months % 12 + 1)
        return local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def start(self, end: datetime) -> datetime:
        """Find when the period began that holds the last moment before ``end``."""
        elapsed = end - self.boundary(0)
        number = int(elapsed / timedelta(days=self.count * _NOMINAL_DAYS[self.unit]))
        while self.boundary(number) >= end:
            number -= 1
        while self.boundary(number + 1) < end:
            number += 1
        return self.boundary(number)

    def on_full_hours(self, around: date) -> bool:
        """Tell whether every period that begins within a year of ``around`` begins at a full hour of UTC."""
        middle = self.start(datetime(around.year, around.month, around.day, tzinfo=UTC))
        starts = [self.start(middle + timedelta(days=days)) for days in range(-366, 367, 7)]
        return all((start.minute, start.second) == (0, 0) for start in starts)


@dataclass(frozen=True)
class Period:
    """The time over which a budget is spent: the last ``days``, a month in UTC, or ``calendar``'s."""

    kind: Literal["rolling", "month", "calendar"]
    days: int
    """Of a calendar's: how long it is as a rule."""
    calendar: Calendar | None = None

    @classmethod
    def of(cls, calendar: Calendar) -> Period:
        """Make the periods of a calendar."""
        return cls("calendar", calendar.count * _NOMINAL_DAYS[calendar.unit], calendar)

    @classmethod
    def parse(cls, text: str) -> Period:
        """Parse what ``str`` makes of a period."""
        if text == str(MONTH):
            return MONTH
        match = _TEXT.fullmatch(text)
        if match is None:
            return cls("rolling", int(text.removesuffix("d")))
        unit: Unit = match["unit"]  # type: ignore[assignment]
        return cls.of(
            Calendar(int(match["count"]), unit, datetime.fromisoformat(match["first"]), match["zone"])
        )

    def __str__(self) -> str:
        if self.calendar is not None:
            return str(self.calendar)
        return "month" if self.kind == "month" else f"{self.days}d"

    @property
    def max_length(self) -> timedelta:
        """The longest that it can be: 31 days for a month, an hour more where clocks are put back."""
        if self.calendar is not None:
            longest = self.calendar.count * _LONGEST_DAYS[self.calendar.unit]
            return timedelta(days=longest, hours=1)
        return timedelta(days=31 if self.kind == "month" else self.days)

    def start(self, end: datetime) -> datetime:
        """Find where the period up to ``end`` (UTC) began; a calendar's is the one that ``end`` closes."""
        if self.kind == "rolling":
            return end - timedelta(days=self.days)
        if self.calendar is not None:
            return self.calendar.start(end)
        last = end - timedelta(microseconds=1)
        return last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


MONTH = Period("month", 30)
