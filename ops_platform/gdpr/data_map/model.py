"""The data map: which data of a database belong to a subject, and what is done with them.

A declaration and its meaning, no database: ``map_file`` reads it, ``coverage`` compares it with a live
catalogue, erasure and export carry it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.schema import Name

PSEUDONYM = "pseudonym"
"""A random name, the same throughout one erasure, whose link to the subject is kept nowhere."""
STAND_IN = "stand_in"
"""The key of a row of the subject table that takes the place of who was erased in what others share."""


@dataclass(frozen=True)
class Literally:
    """This very value; None is NULL."""

    value: Any


Value = Literal["pseudonym", "stand_in"] | Literally


# --- how rows belong to the subject ------------------------------------------------------------------------


@dataclass(frozen=True)
class ByColumn:
    """``column`` holds the subject's ``holds``, a column of the subject table."""

    column: str
    holds: str


@dataclass(frozen=True)
class ByParent:
    """``column`` holds ``to`` of a row of ``table`` that belongs to the subject in one of ``roles``."""

    column: str
    table: Name
    to: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ByArray:
    """An element of the array ``column`` is the subject's ``holds``."""

    column: str
    holds: str


@dataclass(frozen=True)
class ByJson:
    """A value at ``path`` in the JSONB document ``column`` is the subject's ``holds``."""

    column: str
    path: JsonPath
    holds: str


Way = ByColumn | ByParent | ByArray | ByJson


# --- what erasure does with them ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Delete:
    """Delete the row; where rows that stay refer to it, ``otherwise`` set these columns instead."""

    otherwise: Mapping[str, Value] | None = None


@dataclass(frozen=True)
class Anonymise:
    """Set these columns."""

    columns: Mapping[str, Value]


@dataclass(frozen=True)
class Remove:
    """Take the element of the array, or what the path leads to, out of the document."""


@dataclass(frozen=True)
class Keep:
    """By law: ``basis`` says which, ``term`` until when. Both are named on the certificate."""

    basis: str
    term: str


Erasure = Delete | Anonymise | Remove | Keep


@dataclass(frozen=True)
class Belonging:
    """In one role, rows of a table belong to the subject."""

    role: str
    way: Way
    erasure: Erasure
    export: Literal["own", "none"] | tuple[str, ...]
    """All columns, none, or of rows that are shared with others these. Other people are pseudonymised."""


@dataclass(frozen=True)
class Table:
    """``personal`` and ``plain`` together with the belongings' columns name every column there is.

    ``documents``: of JSONB columns whose parts differ, what is at each path.
    """

    name: Name
    purpose: str
    retention: str
    personal: frozenset[str]
    plain: frozenset[str]
    documents: Mapping[str, Mapping[JsonPath, str]]
    belongings: tuple[Belonging, ...]
    triggers: Mapping[str, str] = field(default_factory=dict)
    """Triggers that change more than the statement they answer, and why that leaves nothing behind."""
    created: str | None = None
    """The column that says when a row came into being: an erasure after a restore spares newer rows."""

    @property
    def linking(self) -> frozenset[str]:
        """The columns by which its rows belong to somebody."""
        return frozenset(one.way.column for one in self.belongings)

    @property
    def classified(self) -> frozenset[str]:
        return self.personal | self.plain | self.linking | frozenset(self.documents)


@dataclass(frozen=True)
class View:
    """A view or materialised view; what it shows is gone when the tables are clean and it is refreshed.

    ``refresh``: a function without parameters that does so, for roles that may not do it themselves.
    """

    name: Name
    personal: frozenset[str]
    plain: frozenset[str]
    refresh: Name | None = None

    @property
    def classified(self) -> frozenset[str]:
        return self.personal | self.plain


@dataclass(frozen=True)
class Subject:
    """``identifiers``: columns of the subject table whose values tell the subject apart, ``key`` first."""

    kind: str
    table: Name
    key: str
    email: str
    identifiers: tuple[str, ...]
    stand_in: Mapping[str, Value]


@dataclass(frozen=True)
class Objects:
    """All in ``bucket`` below ``prefix``, which names the subject by {identifier}, is the subject's."""

    bucket: str
    prefix: str
    purpose: str
    export: bool


@dataclass(frozen=True)
class CacheKeys:
    """Keys of the product's Redis; ``*`` stands for the rest of a key."""

    pattern: str
    purpose: str


@dataclass(frozen=True)
class Processor:
    """Somebody else who processes the data and is told of an erasure."""

    name: str
    purpose: str
    email: str


@dataclass(frozen=True)
class DataMap:
    """``version``: changes with anything that the map says."""

    version: str
    subject: Subject
    tables: Mapping[Name, Table]
    views: Mapping[Name, View]
    objects: tuple[Objects, ...]
    cache: tuple[CacheKeys, ...]
    processors: tuple[Processor, ...]

    def belongings(self) -> Iterator[tuple[Table, Belonging]]:
        for table in self.tables.values():
            for one in table.belongings:
                yield table, one
