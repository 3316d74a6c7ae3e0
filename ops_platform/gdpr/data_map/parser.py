"""The parser of ``data_map.yaml``. It refuses what is ambiguous or contradictory, with its line."""

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
from ops_platform.gdpr.data_map import file_schema
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
    Constant,
    DataMap,
    Delete,
    Erasure,
    Keep,
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

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def load(file: Path) -> DataMap:
    """Parse a data map. Raises ConfigurationError at the first fault, with file and line."""
    source = lined_yaml.load_one(file)
    try:
        model = file_schema.Map.model_validate(source.value)
    except ValidationError as error:
        raise ConfigurationError(_complaint(source, error)) from None
    return _Parser(source).map(model)


def _complaint(source: Document, error: ValidationError) -> str:
    errors = error.errors()
    prefix = _path(errors[0]["loc"])
    # Among the alternatives of a value, the error inside the one that was begun says most.
    related = [details for details in errors if _path(details["loc"])[: len(prefix)] == prefix]
    deepest = max(related, key=lambda details: len(_path(details["loc"])))
    path = _path(deepest["loc"])
    name = ".".join(str(part) for part in path) or "the document"
    return f"{source.at(path)}: {name}: {lined_yaml.complaint(deepest)}"


def _path(steps: tuple[str | int, ...]) -> list[str | int]:
    """Leave out the steps that pydantic adds for the alternatives of a value."""
    return [step for step in steps if step != "Erase" and not str(step).startswith(("literal[", "list["))]


class _Parser:
    """The way from the file's schema to the model; it keeps the document for the lines of complaints."""

    def __init__(self, source: Document) -> None:
        self._source = source

    def map(self, model: file_schema.Map) -> DataMap:
        subject = self._subject(model.subject)
        tables: dict[Name, Table] = {}
        for text, table_model in model.tables.items():
            table = self._table(text, table_model, subject)
            if table.name in tables:
                raise self._error(("tables", text), f"{table.name} is there twice")
            tables[table.name] = table
        views = {}
        for text, view in model.views.items():
            path = ("views", text)
            name = self._name(path, text)
            self._check_disjoint(path, {"personal": view.personal, "plain": view.plain})
            refresh = self._name((*path, "refresh"), view.refresh) if view.refresh else None
            views[name] = View(name, frozenset(view.personal), frozenset(view.plain), refresh)
        for number, objects in enumerate(model.objects):
            prefix_path = ("objects", number, "prefix")
            self._check_placeholders(prefix_path, objects.prefix, subject)
            if not objects.prefix.endswith("/"):
                raise self._error(
                    prefix_path, "must end with a slash: users/1 is also the beginning of users/10"
                )
        for number, keys in enumerate(model.cache):
            self._check_placeholders(("cache", number, "pattern"), keys.pattern, subject)
        data_map = DataMap(
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
        self._check_parents(model, data_map)
        return data_map

    def _subject(self, model: file_schema.Subject) -> Subject:
        identifiers = tuple(dict.fromkeys((model.key, model.email, *model.identifiers)))
        path = ("subject", "stand_in")
        stand_in = self._values(path, model.stand_in)
        if STAND_IN in stand_in.values():
            raise self._error(path, "a stand-in cannot be made of itself: give a value or 'pseudonym'")
        return Subject(
            model.kind,
            self._name(("subject", "table"), model.table),
            model.key,
            model.email,
            identifiers,
            stand_in,
        )

    def _table(self, text: str, model: file_schema.Table, subject: Subject) -> Table:
        path = ("tables", text)
        documents = {}
        for column, kinds in model.documents.items():
            documents[column] = {
                self._json_path((*path, "documents", column, text_path), text_path): kind
                for text_path, kind in kinds.items()
            }
        self._check_disjoint(
            path, {"personal": model.personal, "plain": model.plain, "documents": list(model.documents)}
        )
        rows = [self._row((*path, "rows", number), row, subject) for number, row in enumerate(model.rows)]
        roles = [belonging.role for belonging in rows]
        for number, role in enumerate(roles):
            if role in roles[:number]:
                raise self._error((*path, "rows", number, "role"), f"the role {role!r} is there twice")
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

    def _row(self, path: tuple[str | int, ...], row: file_schema.Row, subject: Subject) -> Belonging:
        way = self._way(path, row, subject)
        erasure = self._erasure((*path, "erase"), row)
        if isinstance(erasure, Remove) and not isinstance(way, ByArray | ByJson):
            raise self._error(
                (*path, "erase"), "'remove' takes an element out of an array or document; this row has none"
            )
        export = row.export if isinstance(row.export, str) else tuple(row.export)
        return Belonging(row.role, way, erasure, export)

    def _way(self, path: tuple[str | int, ...], row: file_schema.Row, subject: Subject) -> Way:
        given = [
            name
            for name, value in (("column", row.column), ("array", row.array), ("json", row.json_))
            if value
        ]
        if len(given) != 1:
            raise self._error(path, "say by what a row belongs to the subject: one of column, array, json")
        allowed = {
            "column": ("through", "to", "roles", "holds"),
            "array": ("holds",),
            "json": ("path", "holds"),
        }
        for name in ("through", "to", "roles", "path", "holds"):
            if getattr(row, name) is not None and name not in allowed[given[0]]:
                raise self._error((*path, name), f"does not go with {given[0]}")
        holds = row.holds or subject.key
        if holds not in subject.identifiers:
            raise self._error(
                (*path, "holds"),
                f"{holds} is not an identifier of the subject: add it to subject.identifiers",
            )
        if row.json_ is not None:
            if row.path is None:
                raise self._error(path, "json needs a path to the value, as in co_authors[*].id")
            return ByJson(row.json_, self._json_path((*path, "path"), row.path), holds)
        if row.array is not None:
            return ByArray(row.array, holds)
        column = row.column or ""
        if row.through is None:
            if row.to is not None or row.roles is not None:
                raise self._error(path, "to and roles go with through")
            return ByColumn(column, holds)
        if row.holds is not None:
            raise self._error((*path, "holds"), "does not go with through")
        table = self._name((*path, "through"), row.through)
        if row.to is None:
            raise self._error(path, f"say which column of {table} is meant: to: ...")
        return ByParent(column, table, row.to, tuple(row.roles or ()))

    def _erasure(self, path: tuple[str | int, ...], row: file_schema.Row) -> Erasure:
        if row.erase == "delete":
            return Delete()
        if row.erase == "remove":
            return Remove()
        assert isinstance(row.erase, file_schema.Erase)  # noqa: S101 - the two literals are done
        given = row.erase.model_dump(exclude_none=True)
        if len(given) != 1:
            raise self._error(path, "say one of delete, remove, anonymise, delete_unless_referenced, keep")
        if row.erase.keep is not None:
            return Keep(row.erase.keep.basis, row.erase.keep.term)
        if row.erase.anonymise is not None:
            return Anonymise(self._values((*path, "anonymise"), row.erase.anonymise))
        values = row.erase.delete_unless_referenced or {}
        return Delete(self._values((*path, "delete_unless_referenced"), values))

    def _values(self, path: tuple[str | int, ...], given: Mapping[str, Any]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for column, value in given.items():
            if value == PSEUDONYM:
                values[column] = "pseudonym"
            elif value == STAND_IN:
                values[column] = "stand_in"
            elif value is None:
                values[column] = Constant(None)
            elif isinstance(value, dict) and set(value) == {"value"}:
                values[column] = Constant(value["value"])
            else:
                raise self._error((*path, column), "must be null, pseudonym, stand_in, or {value: ...}")
        return values

    def _check_parents(self, model: file_schema.Map, data_map: DataMap) -> None:
        """Refuse ``through`` that names a table or role outside the map, or leads in a circle."""
        for text, table in model.tables.items():
            for number, row in enumerate(table.rows):
                if row.through is None:
                    continue
                path = ("tables", text, "rows", number)
                parent = data_map.tables.get(Name.parse(row.through))
                if parent is None:
                    raise self._error((*path, "through"), f"the map has no table {row.through}")
                roles = {belonging.role for belonging in parent.belongings}
                for role in row.roles or ():
                    if role not in roles:
                        raise self._error((*path, "roles"), f"{row.through} has no role {role!r}")
                if self._is_circular(data_map, Name.parse(text), set()):
                    raise self._error((*path, "through"), "leads in a circle and never to a subject")

    def _is_circular(self, data_map: DataMap, name: Name, seen: set[Name]) -> bool:
        if name in seen:
            return True
        table = data_map.tables.get(name)
        return any(
            self._is_circular(data_map, belonging.way.table, seen | {name})
            for belonging in (table.belongings if table else ())
            if isinstance(belonging.way, ByParent)
        )

    def _check_disjoint(self, path: tuple[str | int, ...], classes: Mapping[str, list[str]]) -> None:
        seen: dict[str, str] = {}
        for kind, columns in classes.items():
            for column in columns:
                if column in seen:
                    raise self._error((*path, kind), f"{column} is in {seen[column]} already")
                seen[column] = kind

    def _check_placeholders(self, path: tuple[str | int, ...], text: str, subject: Subject) -> None:
        """Refuse a pattern without an identifier of the subject: it would match everybody's data."""
        identifiers = _PLACEHOLDER.findall(text)
        if not identifiers:
            raise self._error(path, f"names no subject: put {{{subject.key}}} into it")
        for identifier in identifiers:
            if identifier not in subject.identifiers:
                raise self._error(
                    path,
                    f"{{{identifier}}} is not an identifier of the subject: add it to subject.identifiers",
                )
        if re.search(r"\}[\w*]", text) or "**" in text:
            raise self._error(path, "what follows an identifier must set it apart, as a slash or colon does")

    def _name(self, path: tuple[str | int, ...], text: str) -> Name:
        try:
            return Name.parse(text)
        except ValueError as error:
            raise self._error(path, str(error)) from None

    def _json_path(self, path: tuple[str | int, ...], text: str) -> JsonPath:
        try:
            return JsonPath.parse(text)
        except ValueError as error:
            raise self._error(path, str(error)) from None

    def _error(self, path: tuple[str | int, ...], reason: str) -> ConfigurationError:
        name = ".".join(str(part) for part in path)
        return ConfigurationError(f"{self._source.at(path)}: {name}: {reason}")
