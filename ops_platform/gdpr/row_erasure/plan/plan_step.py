"""The steps of an erasure, and what each writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ops_platform.gdpr.data_map import Anonymise, Belonging, Delete, Keep, Redact, Remove, Table
from ops_platform.gdpr.schema import Name, Reference

Kind = Literal["empty", "delete", "anonymise", "remove", "redact", "keep"]
_ORDER: dict[type, int] = {Delete: 0, Anonymise: 2, Remove: 3, Redact: 4, Keep: 5}
_KINDS: dict[type, Kind] = {
    Delete: "delete",
    Anonymise: "anonymise",
    Remove: "remove",
    Redact: "redact",
    Keep: "keep",
}


@dataclass(frozen=True)
class Step:
    """One kind of change to the rows of ``table`` that are the subject's as ``belonging`` says.

    ``empty`` sets ``columns`` of rows that will be deleted to NULL, so that they refer to nothing.
    ``left_to``: roles of the table whose own step deletes what is in both, later: more is found through it.
    """

    kind: Kind
    table: Name
    belonging: Belonging
    columns: tuple[str, ...] = ()
    left_to: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Name, belonging: Belonging, left_to: Sequence[str] = ()) -> Step:
        """Make the step that does what the map says of a role."""
        return cls(_KINDS[type(belonging.erasure)], table, belonging, left_to=tuple(sorted(left_to)))


@dataclass(frozen=True)
class Plan:
    """The steps in order. ``deferred``: references that no NULL opens: one transaction for their tables."""

    steps: tuple[Step, ...]
    deferred: tuple[Reference, ...]


def sets(belonging: Belonging) -> frozenset[str]:
    """List the columns that a role sets in rows that stay."""
    erasure = belonging.erasure
    if isinstance(erasure, Anonymise):
        return frozenset(erasure.columns)
    if not isinstance(erasure, Delete):
        return frozenset()
    return frozenset(erasure.otherwise or ()) | frozenset(belonging.replaced)


def writes(belonging: Belonging) -> frozenset[str]:
    """List the columns that a role writes in rows that stay, elements and texts taken out included."""
    if isinstance(belonging.erasure, Remove | Redact):
        return frozenset(belonging.way.columns)
    return sets(belonging)


def deleting_first(table: Table) -> list[Belonging]:
    """Sort deletions first: a deleted row need not be changed before, and keeps no row it refers to."""

    def place(belonging: Belonging) -> int:
        conditional = isinstance(belonging.erasure, Delete) and belonging.erasure.otherwise is not None
        return _ORDER[type(belonging.erasure)] + conditional

    return sorted(table.belongings, key=place)
