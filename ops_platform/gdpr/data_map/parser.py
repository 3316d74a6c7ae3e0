"""``data_map.yaml`` -> data map. What is ambiguous or contradicts itself is refused, with its line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import file_schema as map_shape
from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import (
    PSEUDONYM,
    STAND_IN,
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByParent,
    CacheKeys,
    DataMap,
    Delete,
    Erasure,
    Keep,
    Literally,
    Objects,
    Processor,
    Remove,
    Subject,
    Table,
    Value,
    View,
    Way,
)
from ops_platform.gdpr.schema import Name
from ops_platform.lined_yaml import Document

_PLACE = re.compile(r"\{([^{}]*)\}")


def load(file: Path) -> DataMap:
    """Raises ConfigurationError at the first fault."""
    source = lined_yaml.load_one(file)
    try:
        model = map_shape.Map.model_validate(source.value)
    except ValidationError as error:
        raise ConfigurationError(_first(source, error)) from None
    return _Reader(source).map(model)


def _first(source: Document, error: ValidationError) -> str:
    errors = error.errors()
    place = _place(errors[0]["loc"])
    # Of alternatives, the one that was begun says more than that it is not the other.
    within = [one for one in errors if _place(one["loc"])[: len(place)] == place]
    first = max(within, key=lambda one: len(_place(one["loc"])))
    path = _place(first["loc"])
    name = ".".join(str(part) for part in path) or "the document"
    return f"{source.at(path)}: {name}: {lined_yaml.complaint(first)}"


def _place(steps: tuple[str | int, ...]) -> list[str | int]:
    """Without the steps that pydantic adds for the alternatives of a value."""
    return [one for one in steps if one != "Erase" and not str(one).startswith(("literal[", "list["))]


class _Reader:
    """From the file's shape to the map's; keeps the document for the lines of what it refuses."""

    def __init__(self, source: Document) -> None:
        self._source = source

    def map(self, model: map_shape.Map) -> DataMap:
        subject = self._subject(model.subject)
        tables: dict[Name, Table] = {}
        for text, one in model.tables.items():
            table = self._table(text, one, subject)
            if table.name in tables:
                raise self._wrong(("tables", text), f"{table.name} is there twice")
            tables[table.name] = table
        views = {}
        for text, view in model.views.items():
            path = ("views", text)
            name = self._name(path, text)
            self._disjoint(path, {"personal": view.personal, "plain": view.plain})
            refresh = self._name((*path, "refresh"), view.refresh) if view.refresh else None
            views[name] = View(name, frozenset(view.personal), frozenset(view.plain), refresh)
        for number, objects in enumerate(model.objects):
            place = ("objects", number, "prefix")
            self._places(place, objects.prefix, subject)
            if not objects.prefix.endswith("/"):
                raise self._wrong(place, "must end with a slash: users/1 is also the beginning of users/10")
        for number, keys in enumerate(model.cache):
            self._places(("cache", number, "pattern"), keys.pattern, subject)
        found = DataMap(
            version=hashlib.sha256(
                json.dumps(self._source.value, sort_keys=True, default=str).encode()
            ).hexdigest()[:16],
            subject=subject,
            tables=tables,
            views=views,
            objects=tuple(Objects(o.bucket, o.prefix, o.purpose, o.export) for o in model.objects),
            cache=tuple(CacheKeys(k.pattern, k.purpose) for k in model.cache),
            processors=tuple(Processor(p.name, p.purpose, p.email) for p in model.processors),
        )
        self._parents(model, found)
        return found

    def _subject(self, model: map_shape.Subject) -> Subject:
        identifiers = tuple(dict.fromkeys((model.key, model.email, *model.identifiers)))
        path = ("subject", "stand_in")
        stand_in = self._values(path, model.stand_in)
        if STAND_IN in stand_in.values():
            raise self._wrong(path, "a stand-in cannot be made of itself: give a value or 'pseudonym'")
        return Subject(
            model.kind,
            self._name(("subject", "table"), model.table),
            model.key,
            model.email,
            identifiers,
            stand_in,
        )

    def _table(self, text: str, model: map_shape.Table, subject: Subject) -> Table:
        path = ("tables", text)
        documents = {}
        for column, places in model.documents.items():
            documents[column] = {
                self._json_path((*path, "documents", column, place), place): kind
                for place, kind in places.items()
            }
        self._disjoint(
            path, {"personal": model.personal, "plain": model.plain, "documents": list(model.documents)}
        )
        rows = [self._row((*path, "rows", number), row, subject) for number, row in enumerate(model.rows)]
        roles = [one.role for one in rows]
        for number, role in enumerate(roles):
            if role in roles[:number]:
                raise self._wrong((*path, "rows", number, "role"), f"the role {role!r} is there twice")
        return Table(
            name=self._name(path, text),
            purpose=model.purpose,
            retention=model.retention,
            personal=frozenset(model.personal),
            plain=frozenset(model.plain),
            documents=documents,
            belongings=tuple(rows),
            triggers=model.triggers,
            created=model.created,
        )

    def _row(self, path: tuple[str | int, ...], row: map_shape.Row, subject: Subject) -> Belonging:
        way = self._way(path, row, subject)
        erasure = self._erasure((*path, "erase"), row)
        if isinstance(erasure, Remove) and not isinstance(way, ByArray | ByJson):
            raise self._wrong(
                (*path, "erase"), "'remove' takes an element out of an array or document; this row has none"
            )
        export = row.export if isinstance(row.export, str) else tuple(row.export)
        return Belonging(row.role, way, erasure, export)

    def _way(self, path: tuple[str | int, ...], row: map_shape.Row, subject: Subject) -> Way:
        given = [
            name
            for name, value in (("column", row.column), ("array", row.array), ("json", row.json_))
            if value
        ]
        if len(given) != 1:
            raise self._wrong(path, "say by what a row belongs to the subject: one of column, array, json")
        allowed = {
            "column": ("through", "to", "roles", "holds"),
            "array": ("holds",),
            "json": ("path", "holds"),
        }
        for name in ("through", "to", "roles", "path", "holds"):
            if getattr(row, name) is not None and name not in allowed[given[0]]:
                raise self._wrong((*path, name), f"does not go with {given[0]}")
        holds = row.holds or subject.key
        if holds not in subject.identifiers:
            raise self._wrong(
                (*path, "holds"), f"{holds} is no identifier of the subject: add it to subject.identifiers"
            )
        if row.json_ is not None:
            if row.path is None:
                raise self._wrong(path, "json needs a path to the value, as in co_authors[*].id")
            return ByJson(row.json_, self._json_path((*path, "path"), row.path), holds)
        if row.array is not None:
            return ByArray(row.array, holds)
        column = row.column or ""
        if row.through is None:
            if row.to is not None or row.roles is not None:
                raise self._wrong(path, "to and roles go with through")
            return ByColumn(column, holds)
        if row.holds is not None:
            raise self._wrong((*path, "holds"), "does not go with through")
        table = self._name((*path, "through"), row.through)
        if row.to is None:
            raise self._wrong(path, f"say which column of {table} is meant: to: ...")
        return ByParent(column, table, row.to, tuple(row.roles or ()))

    def _erasure(self, path: tuple[str | int, ...], row: map_shape.Row) -> Erasure:
        if row.erase == "delete":
            return Delete()
        if row.erase == "remove":
            return Remove()
        assert isinstance(row.erase, map_shape.Erase)  # noqa: S101 - the two literals are done
        given = row.erase.model_dump(exclude_none=True)
        if len(given) != 1:
            raise self._wrong(path, "say one of delete, remove, anonymise, delete_unless_referenced, keep")
        if row.erase.keep is not None:
            return Keep(row.erase.keep.basis, row.erase.keep.term)
        if row.erase.anonymise is not None:
            return Anonymise(self._values((*path, "anonymise"), row.erase.anonymise))
        values = row.erase.delete_unless_referenced or {}
        return Delete(self._values((*path, "delete_unless_referenced"), values))

    def _values(self, path: tuple[str | int, ...], given: Mapping[str, Any]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for column, value in given.items():
            if value == PSEUDONYM:
                found[column] = "pseudonym"
            elif value == STAND_IN:
                found[column] = "stand_in"
            elif value is None:
                found[column] = Literally(None)
            elif isinstance(value, dict) and set(value) == {"value"}:
                found[column] = Literally(value["value"])
            else:
                raise self._wrong((*path, column), "must be null, pseudonym, stand_in, or {value: ...}")
        return found

    def _parents(self, model: map_shape.Map, found: DataMap) -> None:
        """Rows belong by way of rows that are in the map, in roles that are there, and in no circle."""
        for text, table in model.tables.items():
            for number, row in enumerate(table.rows):
                if row.through is None:
                    continue
                path = ("tables", text, "rows", number)
                parent = found.tables.get(Name.parse(row.through))
                if parent is None:
                    raise self._wrong((*path, "through"), f"the map has no table {row.through}")
                roles = {one.role for one in parent.belongings}
                for role in row.roles or ():
                    if role not in roles:
                        raise self._wrong((*path, "roles"), f"{row.through} has no role {role!r}")
                if self._circles(found, Name.parse(text), set()):
                    raise self._wrong((*path, "through"), "leads in a circle, and never to a subject")

    def _circles(self, found: DataMap, name: Name, seen: set[Name]) -> bool:
        if name in seen:
            return True
        table = found.tables.get(name)
        return any(
            self._circles(found, one.way.table, seen | {name})
            for one in (table.belongings if table else ())
            if isinstance(one.way, ByParent)
        )

    def _disjoint(self, path: tuple[str | int, ...], classes: Mapping[str, list[str]]) -> None:
        seen: dict[str, str] = {}
        for kind, columns in classes.items():
            for column in columns:
                if column in seen:
                    raise self._wrong((*path, kind), f"{column} is in {seen[column]} already")
                seen[column] = kind

    def _places(self, path: tuple[str | int, ...], text: str, subject: Subject) -> None:
        """A pattern without the subject in it would be everybody's."""
        named = _PLACE.findall(text)
        if not named:
            raise self._wrong(path, f"names no subject: put {{{subject.key}}} into it")
        for one in named:
            if one not in subject.identifiers:
                raise self._wrong(path, f"{{{one}}} is no identifier of the subject")
        if re.search(r"\}[\w*]", text) or "**" in text:
            raise self._wrong(path, "what follows an identifier must set it apart, as a slash or colon does")

    def _name(self, path: tuple[str | int, ...], text: str) -> Name:
        try:
            return Name.parse(text)
        except ValueError as error:
            raise self._wrong(path, str(error)) from None

    def _json_path(self, path: tuple[str | int, ...], text: str) -> JsonPath:
        try:
            return JsonPath.parse(text)
        except ValueError as error:
            raise self._wrong(path, str(error)) from None

    def _wrong(self, path: tuple[str | int, ...], reason: str) -> ConfigurationError:
        name = ".".join(str(part) for part in path)
        return ConfigurationError(f"{self._source.at(path)}: {name}: {reason}")
