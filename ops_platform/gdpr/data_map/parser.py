"""The parser of ``data_map.yaml``. It refuses what is ambiguous or contradictory, with its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import controller_parser, file_schema, kinds, retention_parser
from ops_platform.gdpr.data_map.category import CATEGORIES
from ops_platform.gdpr.data_map.kind_parser import KindParser, KindSource, concerns
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import (
    UNDECIDED,
    Accepted,
    Belonging,
    ByMention,
    ByParent,
    CacheKeys,
    DataMap,
    Objects,
    Processor,
    Subject,
    Table,
    View,
    Waiver,
)
from ops_platform.gdpr.data_map.parts import part_parser
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform.gdpr.data_map.row_parser import RowParser
from ops_platform.gdpr.data_map.subject_parser import SubjectParser
from ops_platform.gdpr.schema import Name, quoted
from ops_platform.lined_yaml import Document, KeyPath


def load(file: Path) -> DataMap:
    """Parse a data map; where it has several kinds of subject, that of the first: see ``kinds``.

    Raises ConfigurationError at the first fault, with file and line.
    """
    return parse(lined_yaml.load_one(file))


def parse(source: Document) -> DataMap:
    """Parse the document of a data map, as ``load`` does its file's."""
    try:
        model = file_schema.Map.model_validate(source.value)
    except ValidationError as error:
        raise ConfigurationError(_complaint(source, error)) from None
    return _Parser(source).map(model)


def document_of(file: Path) -> str:
    """Write a map as the text that its version is a hash of, also a map that ``load`` would refuse by now.

    Takes that text itself, too. Raises ConfigurationError for a file that is no YAML.
    """
    return _content(lined_yaml.load_one(file).value)


def _content(value: Any) -> str:
    """Write what the file says as JSON with sorted keys."""
    if isinstance(value, dict) and isinstance(value.get("subjects"), dict):
        # The order of the kinds says which the API serves, and sorted keys do not tell it.
        value = {"kinds": list(value["subjects"]), **value}
    return json.dumps(value, sort_keys=True, default=str)


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
    return [
        step
        for step in steps
        if step not in ("Erase", "<retention>", "<text>")
        and not str(step).startswith(("literal[", "list[", "[key]"))
    ]


class _Parser:
    """The way from the file's schema to the model; it keeps the document for the lines of complaints."""

    def __init__(self, source: Document) -> None:
        self._source = source
        self._document = MapDocument(source)

    def map(self, model: file_schema.Map) -> DataMap:
        """Parse the map for the file's first kind of subject, which knows the others."""
        kind_parser = KindParser(self._document)
        sources = kind_parser.parse(model)
        for number, place in enumerate(model.objects):
            if not place.prefix.endswith("/"):
                raise self._document.error(
                    ("objects", number, "prefix"),
                    "must end with a slash: users/1 is also the beginning of users/10",
                )
        maps = [self._map_of(model, source) for source in sources]
        known = [
            replace(
                data_map,
                requestable=data_map is maps[0],
                tables={
                    name: replace(
                        table,
                        of_other_kinds=tuple(
                            belonging
                            for other in maps
                            if other is not data_map
                            for belonging in other.tables[name].belongings
                        ),
                    )
                    for name, table in data_map.tables.items()
                },
            )
            for data_map in maps
        ]
        for source, data_map in zip(sources, known, strict=True):
            parts = part_parser.PartParser(self._document)
            for (path, places), of_database in zip(model.everywhere, data_map.everywhere, strict=True):
                self._check_names(path, places, of_database)
                if of_database.database is not None:
                    parts.check(path, places, of_database, data_map)
                self._check_parents(path, places, of_database, several=len(known) > 1)
            SubjectParser(self._document, source.path).check_known_by(data_map)
        kind_parser.refuse_shared_keys(model, known)
        return kinds.join(known)[0]

    def _map_of(self, model: file_schema.Map, source: KindSource) -> DataMap:
        """Parse what is about this kind of subject."""
        kind, subject_parser = source.kind, SubjectParser(self._document, source.path)
        subject = subject_parser.parse(model, source)
        tables = self._tables((), model, subject)
        objects, cache = list[Objects](), list[CacheKeys]()
        for number, place in enumerate(model.objects):
            if concerns(place, kind):
                subject_parser.check_placeholders(("objects", number, "prefix"), place.prefix, subject)
                objects.append(Objects(place.bucket, place.prefix, place.purpose, place.export))
        for number, keys in enumerate(model.cache):
            if concerns(keys, kind):
                subject_parser.check_placeholders(("cache", number, "pattern"), keys.pattern, subject)
                cache.append(CacheKeys(keys.pattern, keys.purpose))
        document = _content(self._source.value)
        home = DataMap(
            version=hashlib.sha256(document.encode()).hexdigest()[:16],
            subject=subject,
            tables=tables,
            views=self._views((), model),
            objects=tuple(objects),
            cache=tuple(cache),
            processors=tuple(
                Processor(one.name, one.purpose, one.email) for one in model.processors if concerns(one, kind)
            ),
            accepted=self._accepted((), model, kind),
            controller=None if model.controller is None else controller_parser.parse(model.controller),
            document=document,
            waived=self._waived((), model, tables),
        )
        databases = part_parser.PartParser(self._document).databases(model)
        return replace(
            home,
            databases=tuple(
                self._part(("databases", name), model.databases[name], home, database)
                for name, database in databases.items()
            ),
        )

    def _part(self, base: KeyPath, model: file_schema.Database, home: DataMap, database: Database) -> DataMap:
        """Parse the part of the map about another database than the home."""
        tables = self._tables(base, model, home.subject)
        return replace(
            home,
            subject=part_parser.elsewhere(home.subject),
            tables=tables,
            views=self._views(base, model),
            objects=(),
            cache=(),
            processors=(),
            accepted=self._accepted(base, model, home.subject.kind),
            waived=self._waived(base, model, tables),
            database=database,
        )

    def _tables(self, base: KeyPath, model: file_schema.Places, subject: Subject) -> dict[Name, Table]:
        tables: dict[Name, Table] = {}
        for text, table_model in model.tables.items():
            path = (*base, "tables", text)
            table = self._table(path, text, table_model, subject)
            if table.name in tables:
                raise self._document.error(path, f"{table.name} is there twice")
            tables[table.name] = table
        return tables

    def _views(self, base: KeyPath, model: file_schema.Places) -> dict[Name, View]:
        views = {}
        for text, view in model.views.items():
            path = (*base, "views", text)
            name = self._document.name(path, text)
            self._check_disjoint(path, {"personal": view.personal, "plain": view.plain})
            refresh = self._document.name((*path, "refresh"), view.refresh) if view.refresh else None
            views[name] = View(name, frozenset(view.personal), frozenset(view.plain), refresh)
        return views

    def _table(self, path: KeyPath, text: str, model: file_schema.Table, subject: Subject) -> Table:
        documents = {}
        for column, classes in model.documents.items():
            documents[column] = {
                self._document.json_path((*path, "documents", column, text_path), text_path): class_
                for text_path, class_ in classes.items()
            }
        self._check_disjoint(
            path, {"personal": model.personal, "plain": model.plain, "documents": list(model.documents)}
        )
        row_parser = RowParser(self._document, subject)
        rows = list[Belonging]()
        for number, row in enumerate(model.rows):
            if not concerns(row, subject.kind):
                continue
            belonging = row_parser.parse((*path, "rows", number), row)
            if belonging.role in [earlier.role for earlier in rows]:
                raise self._document.error(
                    (*path, "rows", number, "role"), f"the role {belonging.role!r} is there twice"
                )
            rows.append(belonging)
        retention, term = retention_parser.parse(self._document, path, model)
        return Table(
            name=self._document.name(path, text),
            purpose=model.purpose,
            retention=retention,
            personal=frozenset(model.personal),
            plain=frozenset(model.plain),
            documents=documents,
            belongings=tuple(rows),
            triggers=model.triggers,
            created=model.created,
            title=model.title,
            titles=model.titles,
            reasons=model.reasons,
            refers={
                column: self._refers((*path, "refers", column), to) for column, to in model.refers.items()
            },
            undecided=model.undecided,
            categories=model.categories,
            term=term,
        )

    def _check_names(self, base: KeyPath, model: file_schema.Places, data_map: DataMap) -> None:
        """Refuse what is said of columns that the table does not have, and unknown categories."""
        for text, table in model.tables.items():
            for key in ("titles", "reasons", "refers", "undecided", "categories"):
                for column in getattr(table, key):
                    if column not in data_map.tables[Name.parse(text)].classified:
                        raise self._document.error(
                            (*base, "tables", text, key, column), f"the map has no column {column} here"
                        )
            for column, category in table.categories.items():
                if category not in CATEGORIES:
                    raise self._document.error(
                        (*base, "tables", text, "categories", column),
                        f"{category!r} is no category of the Fides taxonomy",
                    )

    def _refers(self, path: KeyPath, text: str) -> tuple[Name, str]:
        try:
            return Name.parse_column(text)
        except ValueError as error:
            raise self._document.error(path, str(error)) from None

    def _accepted(self, base: KeyPath, places: file_schema.Places, kind: str) -> tuple[Accepted, ...]:
        accepted: list[Accepted] = []
        for number, model in enumerate(places.accepted):
            if not concerns(model, kind):
                continue
            path = (*base, "accepted", number)
            try:
                place = Accepted(*Name.parse_column(model.place), model.because)
            except ValueError as error:
                raise self._document.error((*path, "place"), str(error)) from None
            if model.because.lstrip().startswith(UNDECIDED):
                raise self._document.error(
                    (*path, "because"), "is not written yet: say why the subject may be left there"
                )
            if place.place in [earlier.place for earlier in accepted]:
                raise self._document.error((*path, "place"), f"{place} is there twice")
            accepted.append(place)
        return tuple(accepted)

    def _waived(
        self, base: KeyPath, places: file_schema.Places, tables: Mapping[Name, Table]
    ) -> tuple[Waiver, ...]:
        waived = dict[tuple[str, str], Waiver]()
        for number, model in enumerate(places.waived):
            path = (*base, "waived", number)
            place = self._place_of_waiver((*path, "place"), model.place, tables)
            if model.because.lstrip().startswith(UNDECIDED):
                raise self._document.error(
                    (*path, "because"), "is not written yet: say why that is right as it is"
                )
            if (model.finding, place) in waived:
                raise self._document.error((*path, "place"), f"{place} is there twice")
            waived[model.finding, place] = Waiver(model.finding, place, model.because)
        return tuple(waived.values())

    def _place_of_waiver(self, path: KeyPath, text: str, tables: Mapping[Name, Table]) -> str:
        """Read a table of the map, or a table and one of its columns or triggers."""
        try:
            if (table := Name.parse(text)) in tables:
                return str(table)
        except ValueError:
            pass
        try:
            table, name = Name.parse_column(text)
        except ValueError as error:
            raise self._document.error(path, str(error)) from None
        if table not in tables:
            raise self._document.error(path, f"the map has no table {table}")
        return f"{table}.{quoted(name)}"

    def _check_parents(
        self, base: KeyPath, model: file_schema.Places, data_map: DataMap, *, several: bool
    ) -> None:
        """Refuse ``through`` that names a table or role outside the map, or leads in a circle."""
        for text, table in model.tables.items():
            for number, row in enumerate(table.rows):
                if row.through is None or not concerns(row, data_map.subject.kind):
                    continue
                path = (*base, "tables", text, "rows", number)
                parent = data_map.tables.get(Name.parse(row.through))
                if parent is None:
                    raise self._document.error((*path, "through"), f"the map has no table {row.through}")
                self._document.check_roles((*path, "roles"), parent, row.roles or ())
                if several and not parent.belongings:
                    raise self._document.error(
                        (*path, "through"),
                        f"no rows of {row.through} are of a {data_map.subject.kind}: say so there first",
                    )
                if parent.belongings and all(
                    isinstance(belonging.way, ByMention) for belonging in parent.belongings
                ):
                    raise self._document.error(
                        (*path, "through"),
                        f"nothing says whose the rows of {row.through} are: mentions do not",
                    )
                table_of_kind = data_map.tables[Name.parse(text)]
                belonging = next(one for one in table_of_kind.belongings if one.role == row.role)
                if self._is_circular(data_map, table_of_kind.name, belonging, frozenset()):
                    raise self._document.error(
                        (*path, "through"),
                        "leads in a circle and never to a subject: name in roles those of the parent that do",
                    )

    def _is_circular(
        self, data_map: DataMap, table: Name, belonging: Belonging, seen: frozenset[tuple[Name, str]]
    ) -> bool:
        """Tell whether a role is found through itself, by way of whichever roles it goes through."""
        way, place = belonging.way, (table, belonging.role)
        if place in seen:
            return True
        parent = data_map.tables.get(way.table) if isinstance(way, ByParent) else None
        if not isinstance(way, ByParent) or parent is None:
            return False
        return any(
            self._is_circular(data_map, parent.name, other, seen | {place})
            for other in parent.belongings
            if way.goes_through(other)
        )

    def _check_disjoint(self, path: KeyPath, classes: Mapping[str, list[str]]) -> None:
        seen: dict[str, str] = {}
        for kind, columns in classes.items():
            for column in columns:
                if column in seen:
                    raise self._document.error((*path, kind), f"{column} is in {seen[column]} already")
                seen[column] = kind
