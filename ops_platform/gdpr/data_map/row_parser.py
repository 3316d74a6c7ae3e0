"""The parser of a table's ``rows``: in which roles rows belong to a subject, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

from ops_platform.gdpr.data_map import file_schema
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import (
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByParent,
    Delete,
    Erasure,
    Keep,
    Remove,
    Subject,
    Way,
)
from ops_platform.lined_yaml import KeyPath


@dataclass(frozen=True)
class RowParser:
    """The parser of the items of ``rows``, for maps with this ``subject``."""

    document: MapDocument
    subject: Subject

    def parse(self, path: KeyPath, row: file_schema.Row) -> Belonging:
        """Parse the item at ``path``. Raises ConfigurationError for what is ambiguous or contradictory."""
        way = self._way(path, row)
        erasure = self._erasure((*path, "erase"), row)
        if isinstance(erasure, Remove) and not isinstance(way, ByArray | ByJson):
            raise self.document.error(
                (*path, "erase"), "'remove' takes an element out of an array or document; this row has none"
            )
        export = row.export if isinstance(row.export, str) else tuple(row.export)
        return Belonging(row.role, way, erasure, export)

    def _way(self, path: KeyPath, row: file_schema.Row) -> Way:
        given = [
            name
            for name, value in (("column", row.column), ("array", row.array), ("json", row.json_))
            if value
        ]
        if len(given) != 1:
            raise self.document.error(
                path, "say by what a row belongs to the subject: one of column, array, json"
            )
        allowed = {
            "column": ("through", "to", "roles", "holds"),
            "array": ("holds",),
            "json": ("path", "holds"),
        }
        for name in ("through", "to", "roles", "path", "holds"):
            if getattr(row, name) is not None and name not in allowed[given[0]]:
                raise self.document.error((*path, name), f"does not go with {given[0]}")
        holds = row.holds or self.subject.key
        if holds not in self.subject.identifiers:
            raise self.document.error(
                (*path, "holds"),
                f"{holds} is not an identifier of the subject: add it to subject.identifiers",
            )
        if row.json_ is not None:
            if row.path is None:
                raise self.document.error(path, "json needs a path to the value, as in co_authors[*].id")
            return ByJson(row.json_, self.document.json_path((*path, "path"), row.path), holds)
        if row.array is not None:
            return ByArray(row.array, holds)
        column = row.column or ""
        if row.through is None:
            if row.to is not None or row.roles is not None:
                raise self.document.error(path, "to and roles go with through")
            return ByColumn(column, holds)
        if row.holds is not None:
            raise self.document.error((*path, "holds"), "does not go with through")
        table = self.document.name((*path, "through"), row.through)
        if row.to is None:
            raise self.document.error(path, f"say which column of {table} is meant: to: ...")
        return ByParent(column, table, row.to, tuple(row.roles or ()))

    def _erasure(self, path: KeyPath, row: file_schema.Row) -> Erasure:
        if row.erase == "delete":
            return Delete()
        if row.erase == "remove":
            return Remove()
        assert isinstance(row.erase, file_schema.Erase)  # noqa: S101 - the two literals are done
        given = row.erase.model_dump(exclude_none=True)
        if len(given) != 1:
            raise self.document.error(
                path, "say one of delete, remove, anonymise, delete_unless_referenced, keep"
            )
        if row.erase.keep is not None:
            return Keep(row.erase.keep.basis, row.erase.keep.term)
        if row.erase.anonymise is not None:
            return Anonymise(self.document.values((*path, "anonymise"), row.erase.anonymise))
        values = row.erase.delete_unless_referenced or {}
        return Delete(self.document.values((*path, "delete_unless_referenced"), values))
