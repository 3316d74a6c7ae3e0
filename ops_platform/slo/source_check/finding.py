"""What a look at a Prometheus finds of an objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["known", "bounded", "doubtful", "unknown"]
STATUSES: tuple[Status, ...] = ("known", "bounded", "doubtful", "unknown")
"""Counts of the newest hour: exact; between bounds; exact, but of what may be the wrong series; none."""


@dataclass(frozen=True)
class Finding:
    """A reason why an objective's counts are not known, or would not mean what they seem to."""

    what: str
    advice: str
    blocking: bool = True
    """False: something to know, with which hours are known all the same."""

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"
