"""Cron expressions in UTC: parsing, comparison and due times.

Nothing here knows of backups; cronsim evaluates the five fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache

from cronsim import CronSim, CronSimError

_ALLOWED = frozenset("0123456789*,-/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ")
# 28 years without a skipped leap day hold all 14 calendars, each weekday on each date: what does
# not coincide in them never does.
_CALENDAR = (date(2001, 1, 1), date(2029, 1, 1))
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Cron:
    """A valid expression of five fields: minute, hour, day of month, month, day of week; UTC."""

    text: str
    _fields: CronSim = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        """Check ``text``. Raises ValueError that says what is wrong with it."""
        if len(self.text.split()) != 5:
            raise ValueError("a cron expression has five fields: minute hour day month weekday")
        if not set(self.text) <= _ALLOWED:
            raise ValueError("a cron expression holds numbers, names, * , - and / only")
        try:
            fields = CronSim(self.text, datetime(2001, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(str(error).lower()) from None
        object.__setattr__(self, "_fields", fields)
        try:
            next(self.after(datetime(2001, 1, 1, tzinfo=UTC)))
        except StopIteration:
            raise ValueError("names a day that never comes") from None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the due times later than ``moment``, in order."""
        return CronSim(self.text, moment.astimezone(UTC))

    def last(self, moment: datetime) -> datetime:
        """Find the newest due time at or before ``moment``."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return next(CronSim(self.text, start, reverse=True))

    def coincides(self, other: Cron) -> date | None:
        """Find a day on which both are due in the same minute; None when that never happens."""
        return _coincide(self, other)


def _on(fields: CronSim, day: date) -> bool:
    return day.month in fields.months and fields.match_day(day)


def _weekdays(fields: CronSim) -> set[int]:
    """List the weekdays that a due day may fall on; Sunday is 0."""
    if not fields.day_and:
        return set(range(7))  # a day of the month is enough, whatever weekday it is
    return {(day if isinstance(day, int) else day[0]) % 7 for day in fields.weekdays}


@cache
def _coincide(cron: Cron, other: Cron) -> date | None:
    fields, other_fields = cron._fields, other._fields
    if not (fields.minutes & other_fields.minutes and fields.hours & other_fields.hours):
        return None
    if not _weekdays(fields) & _weekdays(other_fields):
        return None  # Sundays against all other days, for example: no need to walk through 28 years
    first, end = _CALENDAR
    for day in (first + timedelta(days=n) for n in range((end - first).days)):
        if _on(fields, day) and _on(other_fields, day):
            return day
    return None


@cache
def longest_pause(crons: frozenset[Cron]) -> timedelta:
    """Compute the longest time between two due times of any of ``crons``, over all possible calendars."""
    minutes = {cron: _minutes(cron) for cron in crons}
    inside: dict[frozenset[Cron], list[int]] = {}
    longest, newest = 0, None
    first, end = _CALENDAR
    for number in range((end - first).days):
        day = first + timedelta(days=number)
        due = frozenset(cron for cron in crons if _on(cron._fields, day))
        if not due:
            continue
        if due not in inside:
            inside[due] = sorted(set().union(*(minutes[cron] for cron in due)))
            longest = max([longest, *(b - a for a, b in itertools.pairwise(inside[due]))])
        if newest is not None:
            longest = max(longest, number * _DAY_MINUTES + inside[due][0] - newest)
        newest = number * _DAY_MINUTES + inside[due][-1]
    return timedelta(minutes=longest)


def _minutes(cron: Cron) -> set[int]:
    return {hour * 60 + minute for hour in cron._fields.hours for minute in cron._fields.minutes}
