"""A finding about a data map, checked against a database."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops_platform.gdpr.schema import Name, quoted


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a map.

    ``where``: the table, and column or role. ``code``: stable, for programs. ``message``: what is wrong and
    what to do. ``waivable``: the places in a waiver that excuse it; empty: none does.
    """

    where: str
    code: str
    message: str
    waivable: frozenset[str] = field(default=frozenset(), compare=False)

    @staticmethod
    def places(table: Name, *names: str) -> frozenset[str]:
        """List the places of a waiver: the table, and each of its columns or triggers."""
        return frozenset((str(table), *(f"{table}.{quoted(name)}" for name in names)))

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.code}]"
