"""A finding about a data map, checked against a database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a map.

    ``where``: the table, and column or role. ``code``: stable, for programs. ``message``: what is wrong and
    what to do.
    """

    where: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.code}]"
