"""The parser of ``data_map.yaml``. It refuses what is ambiguous or contradictory, with its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import controller_parser, file_schema
from ops_platform.gdpr.data_map.category import CATEGORIES
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
from ops_platform.gdpr.data_map.row_parser import RowParser
from ops_platform.gdpr.data_map.subject_parser import SubjectParser
from ops_platform.gdpr.schema import Name, quoted
from ops_platform.lined_yaml import Document, KeyPath


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
        self._document = MapDocument(source)

    def map(self, model: file_schema.Map) -> DataMap:
        subject_parser = SubjectParser(self._document)
        subject = subject_parser.parse(model)
        tables: dict[Name, Table] = {}
        for text, table_model in model.tables.items():
            table = self._table(text, table_model, subject)
            if table.name in tables:
                raise self._document.error(("tables", text), f"{table.name} is there twice")
            tables[table.name] = table
        views = {}
        for text, view in model.views.items():
            path = ("views", text)
            name = self._document.name(path, text)
            self._check_disjoint(path, {"personal": view.personal, "plain": view.plain})
            refresh = self._document.name((*path, "refresh"), view.refresh) if view.refresh else None
            views[name] = View(name, frozenset(view.personal), frozenset(view.plain), refresh)
        for number, objects in enumerate(model.objects):
            prefix_path = ("objects", number, "prefix")
            subject_parser.check_placeholders(prefix_path, objects.prefix, subject)
            if not objects.prefix.endswith("/"):
                raise self._document.error(
                    prefix_path, "must end with a slash: users/1 is also the beginning of users/10"
                )
        for number, keys in enumerate(model.cache):
            subject_parser.check_placeholders(("cache", number, "pattern"), keys.pattern, subject)
        document = json.dumps(self._source.value, sort_keys=True, default=str)
        data_map = DataMap(
            version=hashlib.sha256(document.encode()).hexdigest()[:16],
            subject=subject,
            tables=tables,
            views=views,
            objects=tuple(Objects(o.bucket, o.prefix, o.purpose, o.export) for o in model.objects),
            cache=tuple(CacheKeys(k.pattern, k.purpose) for k in model.cache),
            processors=tuple(Processor(p.name, p.purpose, p.email) for p in model.processors),
            accepted=self._accepted(model.accepted),
            controller=None if model.controller is None else controller_parser.parse(model.controller),
            document=document,
            waived=self._waived(model.waived, tables),
        )
        self._check_parents(model, data_map)
        subject_parser.check_known_by(data_map)
        return data_map

    def _table(self, text: str, model: file_schema.Table, subject: Subject) -> Table:
        path = ("tables", text)
        documents = {}
        for column, kinds in model.documents.items():
            documents[column] = {
                self._document.json_path((*path, "documents", column, text_path), text_path): kind
                for text_path, kind in kinds.items()
            }
        self._check_disjoint(
            path, {"personal": model.personal, "plain": model.plain, "documents": list(model.documents)}
        )
        row_parser = RowParser(self._document, subject)
        rows = [row_parser.parse((*path, "rows", number), row) for number, row in enumerate(model.rows)]
        roles = [belonging.role for belonging in rows]
        for number, role in enumerate(roles):
            if role in roles[:number]:
                raise self._document.error(
                    (*path, "rows", number, "role"), f"the role {role!r} is there twice"
                )
        table = Table(
            name=self._document.name(path, text),
            purpose=model.purpose,
            retention=model.retention,
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
        )
        for key in ("titles", "reasons", "refers", "undecided", "categories"):
            for column in getattr(model, key):
                if column not in table.classified:
                    raise self._document.error((*path, key, column), f"the map has no column {column} here")
        for column, category in model.categories.items():
            if category not in CATEGORIES:
                raise self._document.error(
                    (*path, "categories", column), f"{category!r} is no category of the Fides taxonomy"
                )
        return table

    def _refers(self, path: KeyPath, text: str) -> tuple[Name, str]:
        try:
            return Name.parse_column(text)
        except ValueError as error:
            raise self._document.error(path, str(error)) from None

    def _accepted(self, models: Sequence[file_schema.Accepted]) -> tuple[Accepted, ...]:
        accepted: list[Accepted] = []
        for number, model in enumerate(models):
            path = ("accepted", number)
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
        self, models: Sequence[file_schema.Waiver], tables: Mapping[Name, Table]
    ) -> tuple[Waiver, ...]:
        waived = dict[tuple[str, str], Waiver]()
        for number, model in enumerate(models):
            path = ("waived", number)
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

    def _check_parents(self, model: file_schema.Map, data_map: DataMap) -> None:
        """Refuse ``through`` that names a table or role outside the map, or leads in a circle."""
        for text, table in model.tables.items():
            for number, row in enumerate(table.rows):
                if row.through is None:
                    continue
                path = ("tables", text, "rows", number)
                parent = data_map.tables.get(Name.parse(row.through))
                if parent is None:
                    raise self._document.error((*path, "through"), f"the map has no table {row.through}")
                self._document.check_roles((*path, "roles"), parent, row.roles or ())
                if parent.belongings and all(
                    isinstance(belonging.way, ByMention) for belonging in parent.belongings
                ):
                    raise self._document.error(
                        (*path, "through"),
                        f"nothing says whose the rows of {row.through} are: mentions do not",
                    )
                belonging = data_map.tables[Name.parse(text)].belongings[number]
                if self._is_circular(data_map, Name.parse(text), belonging, frozenset()):
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
