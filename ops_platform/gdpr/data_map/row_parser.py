"""The parser of a table's ``rows``: in which roles rows belong to a subject, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops_platform.gdpr.data_map import file_schema
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import (
    REDACTED,
    STAND_IN,
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByMention,
    ByParent,
    Constant,
    Delete,
    Erasure,
    Keep,
    Redact,
    Remove,
    Subject,
    Value,
    Way,
)
from ops_platform.lined_yaml import KeyPath

_SAFE_TEXT = re.compile(r"[A-Za-z0-9 \[\]()*._-]+")


@dataclass(frozen=True)
class RowParser:
    """The parser of the items of ``rows``, for maps with this ``subject``."""

    document: MapDocument
    subject: Subject

    def parse(self, path: KeyPath, row: file_schema.Row) -> Belonging:
        """Parse the item at ``path``. Raises ConfigurationError for what is ambiguous or contradictory."""
        way = self._way(path, row)
        erasure = self._erasure((*path, "erase"), row, way)
        if isinstance(erasure, Remove) and not isinstance(way, ByArray | ByJson):
            raise self.document.error(
                (*path, "erase"), "'remove' takes an element out of an array or document; this row has none"
            )
        if isinstance(erasure, Redact) != isinstance(way, ByMention):
            raise self.document.error(
                (*path, "erase"), "'redact' goes with mentions, and mentions with nothing else"
            )
        if isinstance(way, ByMention) and row.export == "own":
            raise self.document.error(
                (*path, "export"), "rows with mentions are other people's: name the columns to show, or none"
            )
        export = row.export if isinstance(row.export, str) else tuple(row.export)
        where = self._where((*path, "where"), row, way)
        return Belonging(row.role, way, erasure, export, where, row.undecided or "", row.shared)

    def _way(self, path: KeyPath, row: file_schema.Row) -> Way:
        given = [
            name
            for name, value in (
                ("column", row.column),
                ("array", row.array),
                ("json", row.json_),
                ("mentions", row.mentions),
            )
            if value
        ]
        if len(given) != 1:
            raise self.document.error(
                path, "say by what a row belongs to the subject: one of column, array, json, mentions"
            )
        allowed = {
            "column": ("through", "to", "roles", "holds"),
            "array": ("holds",),
            "json": ("path", "holds"),
            "mentions": (),
        }
        for name in ("through", "to", "roles", "path", "holds"):
            if getattr(row, name) is not None and name not in allowed[given[0]]:
                raise self.document.error((*path, name), f"does not go with {given[0]}")
        if row.mentions is not None:
            return ByMention(tuple(dict.fromkeys(row.mentions)))
        if row.json_ is not None:
            if row.path is None:
                raise self.document.error(path, "json needs a path to the value, as in co_authors[*].id")
            [held] = self._holds(path, row, 1)
            return ByJson(row.json_, self.document.json_path((*path, "path"), row.path), held)
        if row.array is not None:
            [held] = self._holds(path, row, 1)
            return ByArray(row.array, held)
        columns = tuple(row.column or ())
        if len(set(columns)) < len(columns):
            raise self.document.error((*path, "column"), "names a column twice")
        if row.through is None:
            if row.to is not None or row.roles is not None:
                raise self.document.error(path, "to and roles go with through")
            return ByColumn(columns, self._holds(path, row, len(columns)))
        if row.holds is not None:
            raise self.document.error((*path, "holds"), "does not go with through")
        table = self.document.name((*path, "through"), row.through)
        if row.to is None:
            raise self.document.error(path, f"say which column of {table} is meant: to: ...")
        if len(row.to) != len(columns):
            raise self.document.error((*path, "to"), f"must name as many columns of {table} as column does")
        return ByParent(columns, table, tuple(row.to), tuple(row.roles or ()))

    def _holds(self, path: KeyPath, row: file_schema.Row, width: int) -> tuple[str, ...]:
        """Read what ``width`` columns hold: the key, or columns of which one at least is an identifier."""
        subject, place = self.subject, (*path, "holds")
        if row.holds is None:
            if len(subject.key) != width:
                raise self.document.error(
                    path,
                    f"the key of a {subject.kind} is {' and '.join(subject.key)}: name the columns that hold "
                    "it in this order, or say in holds what is held",
                )
            return subject.key
        names = {spelling: known.name for known in subject.known_by for spelling in known.spellings}
        holds = tuple(names.get(held, held) for held in row.holds)
        if len(holds) != width:
            raise self.document.error(place, "must name as many columns of the subject as hold them")
        known = set(names.values())
        if width == 1 and holds[0] not in (*subject.identifiers, *known):
            reason = (
                "is part of the key and names nobody by itself: name all columns of the key"
                if holds[0] in subject.key
                else "is not an identifier of the subject: add it to subject.identifiers"
            )
            raise self.document.error(place, f"{holds[0]} {reason}")
        return holds

    def _where(self, path: KeyPath, row: file_schema.Row, way: Way) -> dict[str, tuple[Constant, ...]]:
        where = {}
        for column, given in (row.where or {}).items():
            if column in way.columns:
                raise self.document.error((*path, column), "is what a row belongs by: leave it out of where")
            values = given if isinstance(given, list) else [given]
            if not values or any(isinstance(value, dict | list) for value in values):
                raise self.document.error((*path, column), "must be a value, a list of values, or null")
            where[column] = tuple(Constant(value) for value in values)
        return where

    def _erasure(self, path: KeyPath, row: file_schema.Row, way: Way) -> Erasure:
        if row.erase == "delete":
            return Delete()
        if row.erase == "remove":
            return Remove()
        if row.erase == "redact":
            return Redact(REDACTED)
        assert isinstance(row.erase, file_schema.Erase)  # noqa: S101 - the two literals are done
        given = row.erase.model_dump(exclude_none=True)
        if len(given) != 1:
            raise self.document.error(
                path, "say one of delete, remove, redact, anonymise, delete_unless_referenced, keep"
            )
        if row.erase.keep is not None:
            return Keep(row.erase.keep.basis, row.erase.keep.term)
        if row.erase.anonymise is not None:
            return Anonymise(self._values((*path, "anonymise"), row.erase.anonymise, way))
        if row.erase.redact is not None:
            if not _SAFE_TEXT.fullmatch(row.erase.redact):
                raise self.document.error(
                    (*path, "redact"),
                    "must be letters, digits, spaces and []()*._- only, which are the same in JSON and HTML",
                )
            return Redact(row.erase.redact)
        values = row.erase.delete_unless_referenced or {}
        return Delete(self._values((*path, "delete_unless_referenced"), values, way))

    def _values(self, path: KeyPath, given: Mapping[str, Any], way: Way) -> dict[str, Value]:
        values, key = self.document.values(path, given), self.subject.key
        held = dict(zip(way.columns, way.holds, strict=True)) if isinstance(way, ByColumn) else {}
        for column, value in values.items():
            if value == STAND_IN and len(key) > 1 and held.get(column) not in key:
                raise self.document.error(
                    (*path, column),
                    f"a stand-in has a key of {len(key)} columns, and nothing says which this holds: let the "
                    "row be found by it, or give a value or 'pseudonym'",
                )
        return values
