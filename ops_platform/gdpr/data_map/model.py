"""The model of the data map: which data belong to a subject, and what is done with them.

A declaration, without a database: ``parser`` reads it from its file, ``map_check`` compares it with a live
database, erasure and export carry it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops_platform.gdpr.data_map.controller import Controller
from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform.gdpr.data_map.retention_term import RetentionTerm
from ops_platform.gdpr.schema import Name, quoted

UNDECIDED = "TODO"
"""Beginning of the texts that a draft leaves to be written."""
PSEUDONYM = "pseudonym"
"""A random name, the same throughout one erasure, whose link to the subject is stored nowhere."""
STAND_IN = "stand_in"
"""The key of the subject table's row that replaces an erased subject in rows shared with others."""
REDACTED = "[erased]"
"""What takes the place of an identifier in texts of others, unless the map says otherwise."""


@dataclass(frozen=True)
class Constant:
    """A value as it is; None is NULL."""

    value: Any


Value = Literal["pseudonym", "stand_in"] | Constant


# --- how rows belong to the subject ------------------------------------------------------------------------


@dataclass(frozen=True)
class ByColumn:
    """Rows whose ``columns`` hold the subject's values of ``holds``, in the same order.

    ``holds``: columns of the subject table, or one name of ``Subject.known_by``.
    """

    columns: tuple[str, ...]
    holds: tuple[str, ...]


@dataclass(frozen=True)
class ByParent:
    """Rows whose ``columns`` hold ``to`` of a row of ``table`` that is the subject's in one of ``roles``.

    Without ``roles``: in any role but mentions.
    """

    columns: tuple[str, ...]
    table: Name
    to: tuple[str, ...]
    roles: tuple[str, ...]

    def goes_through(self, parent: Belonging) -> bool:
        """Tell whether rows are found through the parent's rows of this role."""
        return parent.role in self.roles if self.roles else not isinstance(parent.way, ByMention)


@dataclass(frozen=True)
class ByArray:
    """Rows with an element in the array ``column`` that equals the subject's ``holds``."""

    column: str
    holds: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, as for the ways with several."""
        return (self.column,)


@dataclass(frozen=True)
class ByJson:
    """Rows with a value at ``path`` in the JSONB document ``column`` that equals the subject's ``holds``."""

    column: str
    path: JsonPath
    holds: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, as for the ways with several."""
        return (self.column,)


@dataclass(frozen=True)
class ByMention:
    """Rows, mostly of others, in whose text or JSON ``columns`` an identifier of the subject stands."""

    columns: tuple[str, ...]


Way = ByColumn | ByParent | ByArray | ByJson | ByMention


def holds_of(way: ByColumn | ByArray | ByJson) -> tuple[str, ...]:
    """Return what the way's columns hold of the subject, in their order."""
    return way.holds if isinstance(way, ByColumn) else (way.holds,)


# --- what erasure does with them ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Delete:
    """Delete the row, or set the columns of ``otherwise`` where rows that stay refer to it."""

    otherwise: Mapping[str, Value] | None = None


@dataclass(frozen=True)
class Anonymise:
    """Keep the row and set these columns."""

    columns: Mapping[str, Value]


@dataclass(frozen=True)
class Remove:
    """Take the subject's element out of the array, or the value at the path out of the document."""


@dataclass(frozen=True)
class Keep:
    """Keep the row by law; ``basis`` (which) and ``term`` (until when) appear on the certificate."""

    basis: str
    term: str


@dataclass(frozen=True)
class Redact:
    """Keep the row and put ``text`` in the place of each identifier of the subject that stands in it."""

    text: str


Erasure = Delete | Anonymise | Remove | Keep | Redact
Handling = Literal["keep", "stand_in", "delete"]
"""Handling of rows that others need: left as they are; kept without the subject; erased all the same."""


@dataclass(frozen=True)
class Belonging:
    """A role in which rows of a table belong to the subject."""

    role: str
    way: Way
    erasure: Erasure
    export: Literal["own", "none"] | tuple[str, ...]
    """All columns, none, or these columns of rows shared with others, who are pseudonymised."""
    where: Mapping[str, tuple[Constant, ...]] = field(default_factory=dict)
    """Only rows whose columns have one of these values, by column: ``record_type`` beside ``record_id``."""
    undecided: str = ""
    """Why a draft proposes the role, as long as nobody has confirmed it."""
    shared: Handling | None = None
    """What becomes of a row that another subject reaches, too; None: nothing is erased then."""

    @property
    def replaced(self) -> Mapping[str, Value]:
        """The values with which a row that would be deleted stays for others, with ``shared: stand_in``."""
        if self.shared != STAND_IN or not isinstance(self.erasure, Delete):
            return {}
        if self.erasure.otherwise is not None:
            return self.erasure.otherwise
        stand_in: Value = "stand_in"
        return dict.fromkeys(self.way.columns, stand_in)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that say whether a row belongs to the subject in this role."""
        return frozenset(self.way.columns) | frozenset(self.where)


@dataclass(frozen=True)
class Table:
    """A table; ``personal``, ``plain``, ``documents`` and the belongings' columns name every column it has.

    ``documents``: for JSONB columns whose parts differ, ``personal`` or ``plain`` at each path.
    """

    name: Name
    purpose: str
    retention: str
    personal: frozenset[str]
    plain: frozenset[str]
    documents: Mapping[str, Mapping[JsonPath, str]]
    belongings: tuple[Belonging, ...]
    triggers: Mapping[str, str] = field(default_factory=dict)
    """Triggers that write to other places, with the reason why they leave nothing of the subject behind."""
    created: str | None = None
    """The column with the time of a row's creation: an erasure after a restore spares newer rows."""
    title: str | None = None
    """What people call it; None: its name."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """What people call its columns, where that is not their name."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why columns that look like a link, an address or a credential are right as they are in the lists."""
    refers: Mapping[str, tuple[Name, str]] = field(default_factory=dict)
    """The table and column whose values these columns hold, where no foreign key says so."""
    undecided: Mapping[str, str] = field(default_factory=dict)
    """Columns that a draft could not place, with what it found, as long as nobody has decided."""
    categories: Mapping[str, str] = field(default_factory=dict)
    """The category of personal data of columns, as the Fides taxonomy names it."""
    term: RetentionTerm | None = None
    """The term that is enforced; None: ``retention`` is a text for people."""
    of_other_kinds: tuple[Belonging, ...] = ()
    """The roles in which rows belong to subjects of other kinds: in this map they only classify columns."""

    @property
    def everyones(self) -> tuple[Belonging, ...]:
        """All roles, whatever kind of subject they are about."""
        return (*self.belongings, *self.of_other_kinds)

    @property
    def linking(self) -> frozenset[str]:
        """The columns by which rows belong to somebody; those with mentions are classified besides."""
        return frozenset(
            column
            for belonging in self.everyones
            for column in (belonging.where if isinstance(belonging.way, ByMention) else belonging.columns)
        )

    @property
    def classified(self) -> frozenset[str]:
        """All columns that the map names."""
        return self.personal | self.plain | self.linking | frozenset(self.documents)


@dataclass(frozen=True)
class View:
    """A view or materialised view: clean once its tables are, a materialised one after its refresh.

    ``refresh``: a function without parameters that refreshes it, for roles that may not do so themselves.
    """

    name: Name
    personal: frozenset[str]
    plain: frozenset[str]
    refresh: Name | None = None

    @property
    def classified(self) -> frozenset[str]:
        """All columns that the map names."""
        return self.personal | self.plain


@dataclass(frozen=True)
class KnownBy:
    """Identifiers in a side table: ``column`` of its rows that are the subject's in one of ``roles``.

    Without ``roles``: in any role but mentions that does not itself go by an identifier of a side table.
    ``undecided``: why a draft proposes it, as long as nobody has confirmed it.
    """

    table: Name
    column: str
    roles: tuple[str, ...] = ()
    undecided: str = ""

    @property
    def name(self) -> str:
        """The identifier's name: ``user_emails.address``."""
        return f"{self.table}.{self.column}"

    @property
    def spellings(self) -> tuple[str, str]:
        """The name without and with the schema, as the map may write it."""
        return self.name, f"{self.table.schema}.{self.table.relation}.{self.column}"


@dataclass(frozen=True)
class Subject:
    """The subject table.

    ``key``: its columns. ``email``: its column with the address, or a name of ``known_by``.
    ``identifiers``: columns whose values name the subject by themselves; a ``key`` of one column is the
    first. ``parts``: columns that name nobody by themselves: of a composite key, or held beside others.
    ``together``: sorted columns that name the subject together, beside those and the key. ``stand_in``: the
    columns of the stand-in's row.
    """

    kind: str
    table: Name
    key: tuple[str, ...]
    email: str
    identifiers: tuple[str, ...]
    stand_in: Mapping[str, Value]
    known_by: tuple[KnownBy, ...] = ()
    parts: tuple[str, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the subject's row that are read."""
        return tuple(dict.fromkeys((*self.key, *self.identifiers, *self.parts)))

    @property
    def address(self) -> tuple[Name, str]:
        """The table and the column with the addresses of e-mail."""
        known = next((known for known in self.known_by if known.name == self.email), None)
        return (self.table, self.email) if known is None else (known.table, known.column)


@dataclass(frozen=True)
class Objects:
    """The subject's objects: all in ``bucket`` below ``prefix``, which names the subject by {identifier}."""

    bucket: str
    prefix: str
    purpose: str
    export: bool


@dataclass(frozen=True)
class CacheKeys:
    """The subject's keys in the product's Redis; ``*`` in the pattern stands for the rest of a key."""

    pattern: str
    purpose: str


@dataclass(frozen=True)
class Processor:
    """A processor of the data (Art. 28 GDPR), who is told of an erasure."""

    name: str
    purpose: str
    email: str


@dataclass(frozen=True)
class Accepted:
    """A column in which an identifier of an erased subject may be left, and ``because`` of what."""

    table: Name
    column: str
    because: str

    @property
    def place(self) -> tuple[Name, str]:
        """The relation and the column."""
        return self.table, self.column

    def __str__(self) -> str:
        return f"{self.table}.{quoted(self.column)}"


@dataclass(frozen=True)
class Waiver:
    """A finding of ``map check`` that is excused at ``place``, and ``because`` of what.

    ``place``: a table, or a column or trigger of it.
    """

    finding: str
    place: str
    because: str


@dataclass(frozen=True)
class DataMap:
    """The map for one kind of subject; ``version`` is a hash of the file's content: 16 hex digits of SHA-256.

    ``document``: the content that the hash is of, as JSON; empty where the map was not read from a file.
    ``others``: the same file's maps for its other kinds, see ``kinds``. ``requestable``: requests of the API
    are about this kind. ``databases``: the parts about further databases, each a map of its own whose
    ``database`` it is; None: the home database, which has the subject's row.
    """

    version: str
    subject: Subject
    tables: Mapping[Name, Table]
    views: Mapping[Name, View]
    objects: tuple[Objects, ...]
    cache: tuple[CacheKeys, ...]
    processors: tuple[Processor, ...]
    accepted: tuple[Accepted, ...] = ()
    controller: Controller | None = None
    waived: tuple[Waiver, ...] = ()
    document: str = field(default="", repr=False)
    others: tuple[DataMap, ...] = ()
    requestable: bool = True
    database: Database | None = None
    databases: tuple[DataMap, ...] = ()

    @property
    def sha256(self) -> str:
        """The hex SHA-256 of ``document``, which ``version`` is the beginning of."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    def everywhere(self) -> tuple[DataMap, ...]:
        """List the maps of all databases, the home database's first."""
        return (self, *self.databases)

    def place(self, text: object) -> str:
        """Write a place of this map's database as it is named among those of others."""
        return str(text) if self.database is None else self.database.place(text)

    def belongings(self) -> Iterator[tuple[Table, Belonging]]:
        """Yield every role of every table, in the map's order."""
        for table in self.tables.values():
            for belonging in table.belongings:
                yield table, belonging
