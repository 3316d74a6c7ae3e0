"""Durations and periods as OpenSLO writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives.documents.document_schema import Slo, Window
from ops_platform.slo.objectives.documents.written_object import Written
from ops_platform.slo.objectives.period import MONTH, Calendar, Period, Unit

MAX_DAYS = 90
"""The longest rolling period in days; sources keep little more."""
DEFAULT_DAYS = 30
"""The period of a document that names none."""
_DURATION = re.compile(r"(?P<count>[1-9][0-9]{0,3})(?P<unit>[mhdwMQY])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST: dict[str, int] = {"d": 92, "w": 13, "M": 3, "Q": 1}


def seconds(text: str | int) -> int | None:
    """Convert a duration of minutes, hours, days or weeks; a number counts minutes. None: it is none."""
    match = _DURATION.fullmatch(text if isinstance(text, str) and not text.isdecimal() else f"{text}m")
    if match is None or match["unit"] not in _SECONDS:
        return 0 if text in ("0m", "0h", "0d", 0) else None
    return int(match["count"]) * _SECONDS[match["unit"]]


def period(slo: Written[Slo], notes: list[str]) -> Period:
    """Read the period of an SLO. Raises ConfigurationError, with file and line."""
    windows = slo.value.spec.timeWindow
    if windows is None:
        notes.append(f"{slo.at('spec')}: has no timeWindow: the budget is that of {DEFAULT_DAYS} days")
        return Period("rolling", DEFAULT_DAYS)
    window, where = slo.part(windows[0], "spec", "timeWindow", 0), slo.at("spec", "timeWindow", 0)
    written = window.value
    match = _DURATION.fullmatch(written.duration)
    if match is None:
        raise ConfigurationError(f"{window.at('duration')}: {written.duration} is not a duration: write 30d")
    count, unit = int(match["count"]), match["unit"]
    rolling = written.calendar is None if written.isRolling is None else written.isRolling
    if rolling:
        days = {"d": count, "w": 7 * count}.get(unit)
        if written.calendar is not None or days is None or days > MAX_DAYS:
            raise ConfigurationError(
                f"{where}: a rolling window has whole days or weeks, at most {MAX_DAYS} days, and no calendar"
            )
        return Period("rolling", days)
    if written.calendar is None or count > _LONGEST.get(unit, 0):
        raise ConfigurationError(
            f"{where}: a window that does not roll has a calendar, and is at most 92 days (d), 13 weeks (w), "
            "3 months (M) or a quarter (1Q) long"
        )
    return _of_calendar(window, count, unit)  # type: ignore[arg-type]


def _of_calendar(window: Written[Window], count: int, unit: Unit) -> Period:
    calendar = window.value.calendar
    assert calendar is not None  # noqa: S101 - the caller has looked
    try:
        first = datetime.strptime(calendar.startTime.replace("T", " ").removesuffix("Z"), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise ConfigurationError(
            f"{window.at('calendar', 'startTime')}: must be a time as in 2026-01-01 00:00:00"
        ) from None
    try:
        ZoneInfo(calendar.timeZone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(
            f"{window.at('calendar', 'timeZone')}: {calendar.timeZone} is no time zone of the IANA database"
        ) from None
    if unit in ("M", "Q") and first.day > 28:
        raise ConfigurationError(
            f"{window.at('calendar', 'startTime')}: not every month has a day {first.day}: begin by the 28th"
        )
    utc = calendar.timeZone in ("UTC", "Etc/UTC")
    if (
        utc
        and (count, unit) == (1, "M")
        and (first.day, first.hour, first.minute, first.second) == (1, 0, 0, 0)
    ):
        return MONTH
    made = Calendar(count, unit, first, calendar.timeZone)
    if not made.on_full_hours(datetime.now(UTC).date()):
        raise ConfigurationError(
            f"{window.at('calendar')}: begins within an hour of UTC, by which events are counted: "
            "choose a startTime that is a full hour there"
        )
    return Period.of(made)
