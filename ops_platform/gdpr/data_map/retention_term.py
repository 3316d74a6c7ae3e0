"""The term after which a table's rows go: an ISO 8601 period by the calendar, from a column of the row."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_PERIOD = re.compile(
    r"P(?=[\dT])(?:(\d{1,5})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,5})D)?"
    r"(?:T(?=\d)(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,5})S)?)?",
    re.ASCII,
)
_LONGEST_MONTHS = 200 * 12
_LONGEST_DAYS = 200 * 366
_UNITS = (
    (("year", 12), ("month", 1)),
    (("day", 1),),
    (("hour", 3600), ("minute", 60), ("second", 1)),
)


@dataclass(frozen=True)
class Period:
    """A period: months by the calendar, then days by the calendar, then seconds."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Period:
        """Parse ``P2Y``, ``P1Y6M``, ``P90D``, ``P2W`` or ``PT36H``: whole numbers only.

        Raises ValueError with the reason, also for a period of nothing and one of over 200 years.
        """
        match = _PERIOD.fullmatch(text)
        if not match or not any(match.groups()):
            raise ValueError(
                f"{text!r} is not an ISO 8601 period of whole numbers: write P2Y, P18M, P90D or PT36H"
            )
        years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        period = cls(12 * years + months, 7 * weeks + days, 3600 * hours + 60 * minutes + seconds)
        if period == cls():
            raise ValueError(f"{text!r} is no time at all: rows would go as soon as they come")
        if period.months > _LONGEST_MONTHS or period.days > _LONGEST_DAYS:
            raise ValueError(f"{text!r} is longer than 200 years: leave the term out")
        return period

    def before(self, moment: datetime) -> datetime:
        """Return a time of which the period's end is about ``moment``: up to three days off at month ends."""
        months = moment.year * 12 + moment.month - 1 - self.months
        year, month = divmod(months, 12)
        day = min(moment.day, monthrange(year, month + 1)[1])
        start = moment.replace(year=year, month=month + 1, day=day)
        return start - timedelta(days=self.days, seconds=self.seconds)

    @property
    def interval(self) -> str:
        """The period as PostgreSQL's ``interval`` reads it."""
        return f"{self.months} months {self.days} days {self.seconds} seconds"

    def __str__(self) -> str:
        parts = []
        for amount, units in zip((self.months, self.days, self.seconds), _UNITS, strict=True):
            for name, size in units:
                count, amount = divmod(amount, size)
                if count:
                    parts.append(f"{count} {name}{'' if count == 1 else 's'}")
        return " ".join(parts)


@dataclass(frozen=True)
class RetentionTerm:
    """Rows go once ``after`` has passed since ``of``, a column with a time or a day.

    ``zone``: the time zone of the calendar, and of times without one; None: UTC, which only a column with
    a time zone may leave unsaid. ``values``: what is set, as it is, by column; None: rows are
    deleted.
    """

    after: Period
    of: str
    zone: str | None = None
    values: Mapping[str, Any] | None = None

    @property
    def action(self) -> str:
        """What becomes of the rows."""
        return "delete" if self.values is None else "anonymise"
