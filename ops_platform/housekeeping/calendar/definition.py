"""Definition of a duty: what is to be done, how often, and what shows that it was done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ops_platform.housekeeping.calendar.evidence import EVIDENCE

BY_HAND = "hand"
"""The evidence of a duty that somebody does: their word, in the ledger."""
PERIODS: Mapping[str, timedelta] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
    "quarter": timedelta(days=92),
    "year": timedelta(days=366),
}
"""The longest time between two performances in time."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,59}$")]


class Definition(BaseModel):
    """A duty. Times are in the unit of their name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Literal["day", "week", "month", "quarter", "year"]
    what: Annotated[str, Field(min_length=10, max_length=300)]
    evidence: str
    """Where it is seen that it was done: a name of EVIDENCE, or BY_HAND."""
    grace_hours: Annotated[float, Field(ge=0, le=24 * 31)] = 12.0
    """Time after the period until it is overdue: a run takes a while, and begins late after an outage."""
    remind_days: Annotated[float, Field(ge=0, le=90)] = 0.0
    """Time before it is due at which it is told."""
    escalate_days: Annotated[float, Field(ge=0, le=90)] = 7.0
    """Time after it was due from which its alert is critical."""

    @field_validator("evidence")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value != BY_HAND and value not in EVIDENCE:
            raise ValueError(f"{value} is no evidence: use one of {', '.join((BY_HAND, *EVIDENCE))}")
        return value

    @property
    def within(self) -> timedelta:
        """Return the time after the last performance at which it is overdue."""
        return PERIODS[self.every] + timedelta(hours=self.grace_hours)


class Calendar(BaseModel):
    """All duties, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duties: Annotated[dict[Name, Definition], Field(min_length=1)]
