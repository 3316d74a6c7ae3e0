"""The check that the map names everything in the database, and nothing else.

``feasibility`` checks whether it can be carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ops_platform.gdpr.data_map import UNDECIDED, ByArray, ByJson, DataMap, JsonPath, Table, View
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Relation

JSON_TYPES = ("jsonb", "json")

SampledPaths = Mapping[tuple[Name, str], Collection[JsonPath]]
"""Paths of values in sampled documents, by table and JSONB column; of columns in ``documents`` of the map."""


def check(data_map: DataMap, catalogue: Catalogue, sampled_paths: SampledPaths) -> list[Finding]:
    """List what is not classified, and what is classified but not there."""
    findings = [
        *_unknown_relations(data_map, catalogue),
        *(
            finding
            for table in data_map.tables.values()
            for finding in _table(table, catalogue, sampled_paths)
        ),
        *(finding for view in data_map.views.values() for finding in _view(view, catalogue)),
        *_undecided(data_map),
    ]
    return sorted(set(findings))


def _unknown_relations(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    for name, relation in catalogue.relations.items():
        if relation.kind == "partition" or name in data_map.tables or name in data_map.views:
            continue
        if relation.kind == "child" and not _has_own_columns(relation, catalogue):
            continue
        place = "views" if relation.kind in ("view", "matview") else "tables"
        yield Finding(
            str(name),
            "unclassified-relation",
            f"is a {relation.kind} that the map does not know: add it to {place}",
        )


def _has_own_columns(relation: Relation, catalogue: Catalogue) -> bool:
    parent = catalogue.relations.get(relation.parent) if relation.parent else None
    return parent is None or bool(set(relation.columns) - set(parent.columns))


def _table(table: Table, catalogue: Catalogue, sampled_paths: SampledPaths) -> Iterator[Finding]:
    relation = catalogue.relations.get(table.name)
    if relation is None or relation.kind in ("view", "matview"):
        reason = "is not there" if relation is None else f"is a {relation.kind}"
        yield Finding(
            str(table.name), "no-such-table", f"{reason}: remove it from tables, or correct its name"
        )
        return
    yield from _columns(str(table.name), relation, table.classified)
    for column in sorted(table.linking & (table.personal | table.plain)):
        yield Finding(
            f"{table.name}.{column}",
            "classified-twice",
            "names a subject in rows, so leave it out of the lists",
        )
    if table.personal and not table.everyones:
        yield Finding(
            str(table.name),
            "nobodys",
            f"{', '.join(sorted(table.personal))} are personal, but no rows are anybody's: say whose in rows",
        )
    if relation.kind == "foreign" and (table.personal or table.everyones):
        yield Finding(
            str(table.name),
            "foreign-table",
            "holds personal data of another database: erase there, by its own map; it is plain here",
        )
    yield from _documents(table, relation, sampled_paths)
    names = {trigger.name for trigger in relation.triggers}
    for name in sorted(set(table.triggers) - names):
        yield Finding(f"{table.name}.{name}", "no-such-trigger", "is not there: remove it from triggers")


def _columns(where: str, relation: Relation, classified: Collection[str]) -> Iterator[Finding]:
    for column in sorted(set(relation.columns) - set(classified)):
        yield Finding(
            f"{where}.{column}",
            "unclassified-column",
            f"({relation.columns[column].type}) is not classified: say personal or plain",
        )
    for column in sorted(set(classified) - set(relation.columns)):
        yield Finding(f"{where}.{column}", "no-such-column", "is not there: remove it, or correct its name")


def _documents(table: Table, relation: Relation, sampled_paths: SampledPaths) -> Iterator[Finding]:
    linked = {
        column: [
            belonging.way.path
            for belonging in table.everyones
            if isinstance(belonging.way, ByJson) and belonging.way.column == column
        ]
        for column in relation.columns
    }
    arrays = {belonging.way.column for belonging in table.everyones if isinstance(belonging.way, ByArray)}
    for name, column in relation.columns.items():
        where = f"{table.name}.{name}"
        if (name in table.documents or linked[name]) and column.type not in JSON_TYPES:
            yield Finding(where, "no-document", f"is {column.type}, not a JSONB document")
        if linked[name] and name not in table.documents:
            yield Finding(
                where,
                "unclassified-document",
                "names people in some of its parts: say in documents what each part is",
            )
        if name in arrays and not column.array:
            yield Finding(where, "no-array", f"is {column.type}, not an array: use column instead of array")
        known = [*table.documents.get(name, {}), *linked[name]]
        if name in table.documents:
            for path in sorted(sampled_paths.get((table.name, name), ())):
                if not any(path.within(known_path) for known_path in known):
                    yield Finding(
                        f"{where} {path}",
                        "unclassified-document",
                        "is in documents, but not in the map: add the path",
                    )


def _view(view: View, catalogue: Catalogue) -> Iterator[Finding]:
    relation = catalogue.relations.get(view.name)
    if relation is None or relation.kind not in ("view", "matview"):
        reason = "is not there" if relation is None else f"is a {relation.kind}"
        yield Finding(str(view.name), "no-such-view", f"{reason}: remove it from views, or correct its name")
        return
    yield from _columns(str(view.name), relation, view.classified)


def _undecided(data_map: DataMap) -> Iterator[Finding]:
    """Find texts that a draft left to be written; they go to the people who ask for their data."""
    for table in data_map.tables.values():
        for name, text in (("purpose", table.purpose), ("retention", table.retention)):
            if text.startswith(UNDECIDED):
                yield Finding(str(table.name), "undecided", f"its {name} is not written yet")
