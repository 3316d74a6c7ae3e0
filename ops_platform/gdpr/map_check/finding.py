"""What is wrong with a data map, measured against a database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """``where``: the table, and column or role; ``code``: stable, for programs; ``said``: and what to do."""

    where: str
    code: str
    said: str

    def __str__(self) -> str:
        return f"{self.where}: {self.said} [{self.code}]"
