"""Freeze windows: times in which nothing is released, whatever the figures say."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Freeze(BaseModel):
    """A window: from one moment to another, or weekly on days between two times of day, in UTC.

    A weekly window that ends at or before its beginning goes on into the next day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    because: Annotated[str, Field(min_length=3)]
    begins: AwareDatetime | None = None
    ends: AwareDatetime | None = None
    weekly: tuple[Day, ...] = ()
    at: time = time(0, 0)
    until: time = time(0, 0)
    services: tuple[str, ...] = ()
    """Services that it holds for; none named: all."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Freeze:
        once = self.begins is not None or self.ends is not None
        if once == bool(self.weekly):
            raise ValueError("a freeze has begins and ends, or weekly days: write one of them")
        if once and (self.begins is None or self.ends is None or self.ends <= self.begins):
            raise ValueError("begins and ends are needed both, in this order")
        if self.at.tzinfo or self.until.tzinfo:
            raise ValueError("at and until are in UTC and have no zone")
        return self

    def concerns(self, service: str | None) -> bool:
        """Tell whether it holds for a service; a question about all services is held by any window."""
        return service is None or not self.services or service in self.services

    def end(self, now: datetime) -> datetime | None:
        """Return when the window around ``now`` ends; None outside of it."""
        if self.begins is not None and self.ends is not None:
            return self.ends if self.begins <= now < self.ends else None
        now = now.astimezone(UTC)
        for back in (0, 1):
            day = (now - timedelta(days=back)).date()
            if DAYS[day.weekday()] not in self.weekly:
                continue
            begin = datetime.combine(day, self.at, UTC)
            end = datetime.combine(day, self.until, UTC)
            if end <= begin:
                end += timedelta(days=1)
            if begin <= now < end:
                return end
        return None
