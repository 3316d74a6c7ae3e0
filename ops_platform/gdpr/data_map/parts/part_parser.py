"""The parser of ``databases``: parts of the map for other databases than that of the subject's row.

What needs the subject's row beside the rows is refused there, with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ops_platform.gdpr.data_map import file_schema
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import (
    STAND_IN,
    Anonymise,
    Belonging,
    ByMention,
    ByParent,
    DataMap,
    Delete,
    Subject,
    Table,
    Value,
)
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform.gdpr.schema import Name
from ops_platform.lined_yaml import KeyPath

HOME = "product"
"""The word for the home database, in commands and messages."""


def elsewhere(subject: Subject) -> Subject:
    """Return the subject for a part: known by the same identifiers, but without a table in that database.

    No relation has a name with an empty schema, whatever tables the other database has.
    """
    return replace(subject, table=Name("", subject.table.relation), known_by=())


@dataclass(frozen=True)
class PartParser:
    """The parser of what parts may not have. Its methods raise ConfigurationError with the place."""

    document: MapDocument

    def databases(self, model: file_schema.Map) -> dict[str, Database]:
        """Parse the names of the databases and of their URLs."""
        found = dict[str, Database]()
        for name, given in model.databases.items():
            path: KeyPath = ("databases", name)
            if name == HOME:
                raise self.document.error(path, "is the home database's name: choose another")
            earlier = next((one for one in found.values() if one.url_env == given.url_env), None)
            if earlier is not None:
                raise self.document.error((*path, "url_env"), f"is the database {earlier.name} already")
            found[name] = Database(name, given.url_env, given.stanza)
        if found and model.subjects is not None and len(model.subjects) > 1:
            raise self.document.error(
                ("databases",),
                "does not go with several kinds of subject yet: leave databases out until it does, and erase "
                "there by hand. A map for each kind is no way: a restore reads one, which must have all "
                "kinds that were erased",
            )
        return found

    def check(self, path: KeyPath, model: file_schema.Places, part: DataMap, home: DataMap) -> None:
        """Refuse what a part of the map at ``path`` cannot have."""
        for name in (home.subject.table, *(known.table for known in home.subject.known_by)):
            described = home.tables.get(name)
            if described is not None and described.term is not None:
                raise self.document.error(
                    path,
                    f"rows here are found by what {name} says of people, and its term of retention would end "
                    "that: write the retention of that table as a text",
                )
        for text, table_model in model.tables.items():
            place: KeyPath = (*path, "tables", text)
            table = part.tables[Name.parse(text)]
            if table.term is not None:
                raise self.document.error(
                    (*place, "retention"),
                    "a term is carried out in the home database only: write here how long as a text",
                )
            rows = {belonging.role: belonging for belonging in table.belongings}
            for number, row in enumerate(table_model.rows):
                self._check_row((*place, "rows", number), rows[row.role], table, part, home)

    def _check_row(
        self, path: KeyPath, belonging: Belonging, table: Table, part: DataMap, home: DataMap
    ) -> None:
        way = belonging.way
        if isinstance(way, ByMention):
            raise self.document.error(
                (*path, "mentions"), "are looked for in the home database only: name rows by what they hold"
            )
        if isinstance(way, ByParent) and way.table not in part.tables and way.table in home.tables:
            raise self.document.error(
                (*path, "through"),
                f"{way.table} is in the home database, and rows are found through rows of their own "
                "database only: say in holds which identifier of the subject the column has",
            )
        values = _values(belonging)
        if STAND_IN in values.values():
            raise self.document.error(
                path,
                "a stand-in is a row of the home database, to which nothing here can refer: set another "
                "value, or with 'shared' say keep or delete",
            )


def _values(belonging: Belonging) -> Mapping[str, Value]:
    """List all values that the role sets in rows that stay."""
    erasure = belonging.erasure
    own = erasure.columns if isinstance(erasure, Anonymise) else {}
    if isinstance(erasure, Delete):
        own = erasure.otherwise or {}
    return {**own, **belonging.replaced}
