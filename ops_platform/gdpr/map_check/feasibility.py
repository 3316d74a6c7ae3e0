"""The check that the map can be carried out: completely, and without touching what it does not name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import (
    PSEUDONYM,
    STAND_IN,
    Belonging,
    ByColumn,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    Table,
    Value,
    View,
)
from ops_platform.gdpr.map_check import foreign_keys, row_links, update_triggers
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.row_erasure import plan
from ops_platform.gdpr.schema import Catalogue, Relation, Trigger


def check(data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """List what keeps the map from being carried out; pass over names that ``coverage`` reports missing."""
    findings = [
        *_subject(data_map, catalogue),
        *_order(data_map, catalogue),
        *foreign_keys.check(data_map, catalogue),
        *_stand_in(data_map, catalogue),
        *update_triggers.check(data_map, catalogue),
    ]
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        if relation is None:
            continue
        findings += _relation(table, relation, catalogue)
        for belonging in table.belongings:
            findings += _belonging(table, belonging, relation, data_map, catalogue)
    for view in data_map.views.values():
        findings += _view(view, catalogue)
    excused = {(waiver.finding, waiver.place) for waiver in data_map.waived}
    return sorted(
        {
            *(
                finding
                for finding in findings
                if not excused & {(finding.code, place) for place in finding.waivable}
            ),
            *_waivers(data_map, catalogue),
        }
    )


def _waivers(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List waivers for what is not there. One that excuses nothing today may be needed when a table grows."""
    places = {
        place
        for name in data_map.tables
        if (relation := catalogue.relations.get(name)) is not None
        for place in Finding.places(
            name, *relation.columns, *(trigger.name for trigger in _triggers(relation, catalogue))
        )
    }
    for waiver in data_map.waived:
        if waiver.place not in places:
            yield Finding(
                waiver.place, "waived-nowhere", "is not there: remove it from waived, or correct its name"
            )


def _triggers(relation: Relation, catalogue: Catalogue) -> Iterator[Trigger]:
    parts = [child for child in catalogue.relations.values() if child.parent == relation.name]
    for storing in (relation, *parts):
        yield from storing.triggers


def _subject(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    subject = data_map.subject
    relation = catalogue.relations.get(subject.table)
    if data_map.database is not None:
        return  # the subject's row is in the home database, whose map says what is wrong with it
    if subject.table not in data_map.tables or relation is None:
        yield Finding(str(subject.table), "no-subject", "is the subject's table, but not in tables: add it")
        return
    for column in sorted(set(subject.columns) - set(relation.columns)):
        yield Finding(
            f"{subject.table}.{column}", "no-such-column", "identifies the subject, but is not there"
        )
    if not relation.identified_by(subject.key):
        yield Finding(
            f"{subject.table}.{'+'.join(subject.key)}",
            "no-key",
            "is the subject's key: it needs a unique index of its own",
        )
    for column in subject.identifiers:
        if len(subject.key) > 1 and column in subject.key and not relation.identified_by([column]):
            yield Finding(
                f"{subject.table}.{column}",
                "not-unique",
                "is part of the key and no identifier by itself, for others can have it too: remove it from "
                "subject.identifiers",
            )
    for known in subject.known_by:
        side_table = catalogue.relations.get(known.table)
        if side_table is not None and known.column not in side_table.columns:
            yield Finding(known.name, "no-such-column", "identifies the subject, but is not there")


def _order(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    try:
        plan.plan(data_map, catalogue)
    except CheckFailed as error:
        yield Finding(str(data_map.subject.table), "circle", str(error))


def _relation(table: Table, relation: Relation, catalogue: Catalogue) -> Iterator[Finding]:
    changing = [belonging for belonging in table.belongings if not isinstance(belonging.erasure, Keep)]
    if changing and not relation.tells_rows_apart:
        yield Finding(
            str(table.name),
            "no-key",
            "has no primary key and no unique index without NULLs: its rows cannot be told apart",
            Finding.places(table.name),
        )
    if table.belongings and relation.row_security:
        yield Finding(
            str(table.name),
            "row-security",
            "shows this role only some rows: give the role BYPASSRLS, or own the table",
        )
    if table.created is not None:
        created = relation.columns.get(table.created)
        if created is None:
            yield Finding(str(table.name), "no-such-column", f"has no column {table.created}: see created")
        elif not created.type.startswith("timestamp"):
            message = f"is {created.type}, but the column named in created must be a timestamp"
            yield Finding(f"{table.name}.{table.created}", "other-type", message)
    deleted = [belonging.role for belonging in table.belongings if isinstance(belonging.erasure, Delete)]
    for belonging in table.belongings:
        way = belonging.way
        if deleted and isinstance(belonging.erasure, Keep) and isinstance(way, ByParent):
            yield Finding(
                f"{table.name} ({belonging.role})",
                "kept-and-deleted",
                f"is kept by law, but when the rows of {way.table} are gone nothing says so, and role "
                f"{deleted[0]} would delete it: keep it in that role too",
            )
    partitions = [child for child in catalogue.relations.values() if child.parent == table.name]
    for storing in (relation, *partitions):
        for trigger in storing.triggers:
            if trigger.writes and trigger.name not in table.triggers and changing:
                yield Finding(
                    f"{storing.name}.{trigger.name}",
                    "trigger",
                    f"may copy rows elsewhere ({trigger.function}): "
                    "look, and say in triggers why that leaves nothing behind",
                )


def _view(view: View, catalogue: Catalogue) -> Iterator[Finding]:
    """Require that a materialised view with personal data can be refreshed: it keeps them until then."""
    relation = catalogue.relations.get(view.name)
    if relation is None or relation.kind != "matview":
        return
    if view.refresh is not None:
        if view.refresh not in catalogue.functions:
            message = f"is refreshed by {view.refresh}(), a function that is not there"
            yield Finding(str(view.name), "no-such-function", message)
    elif view.personal and not relation.refreshable:
        yield Finding(
            str(view.name),
            "no-refresh",
            "keeps personal data until it is refreshed, which this role may not do: "
            "name a function that does in refresh, or grant MAINTAIN",
        )


def _belonging(
    table: Table, belonging: Belonging, relation: Relation, data_map: DataMap, catalogue: Catalogue
) -> Iterator[Finding]:
    where, way = f"{table.name} ({belonging.role})", belonging.way
    if not belonging.columns <= set(relation.columns):
        return
    yield from row_links.check(where, belonging, relation, data_map, catalogue)
    if isinstance(belonging.export, tuple):
        for name in sorted(set(belonging.export) - set(relation.columns)):
            yield Finding(where, "no-such-column", f"exports {name}, which is not there")
    values = update_triggers.values(belonging)
    yield from _values(where, values, relation, catalogue, data_map)
    if values and isinstance(way, ByColumn):
        kept = [
            column
            for column, held in zip(way.columns, way.holds, strict=True)
            if column not in values and held not in data_map.subject.parts
        ]
        if kept or not set(way.columns) & set(values):
            message = f"is anonymised but still names the subject: set {', '.join(kept or way.columns)} too"
            yield Finding(where, "still-linked", message)


def _values(
    where: str, values: Mapping[str, Value], relation: Relation, catalogue: Catalogue, data_map: DataMap
) -> Iterator[Finding]:
    subject = catalogue.relations.get(data_map.subject.table)
    # Of a key of several columns each holds what it is found by, which is checked there.
    [first, *more] = data_map.subject.key
    key = subject.columns.get(first) if subject and not more else None
    for name, value in values.items():
        column = relation.columns.get(name)
        if column is None:
            yield Finding(where, "no-such-column", f"sets {name}, which is not there")
        elif column.generated:
            yield Finding(where, "generated", f"sets {name}, which is generated: set what it is made from")
        elif isinstance(value, Constant) and value.value is None and column.not_null:
            yield Finding(where, "not-null", f"sets {name} to NULL, which it cannot be")
        elif value == PSEUDONYM and row_links.family(column) not in ("text", "uuid"):
            yield Finding(where, "other-type", f"sets {name} to a pseudonym, but it is {column.type}")
        elif value == STAND_IN and key is not None and row_links.family(column) != row_links.family(key):
            yield Finding(where, "other-type", f"sets {name} to the stand-in's key, but it is {column.type}")


def _stand_in(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """Require that the stand-in's row can be inserted from the map's values, where the map uses one."""
    values = [
        value
        for _, belonging in data_map.belongings()
        for value in update_triggers.values(belonging).values()
    ]
    subject = data_map.subject
    relation = catalogue.relations.get(subject.table)
    if STAND_IN not in values or relation is None:
        return
    where = f"{subject.table} (stand-in)"
    yield from _values(where, subject.stand_in, relation, catalogue, data_map)
    for name, column in relation.columns.items():
        given = column.made_by_itself or name in subject.stand_in
        # Of a key of several columns it takes the subject's own values, as their tenant.
        given = given or (len(subject.key) > 1 and name in subject.key)
        if column.not_null and not given:
            yield Finding(where, "not-null", f"must say what {name} is: it cannot be NULL and has no default")
    made = [relation.columns[name].made_by_itself for name in subject.key if name in relation.columns]
    if len(subject.key) > 1 and not any(made) and not set(subject.key) & set(subject.stand_in):
        yield Finding(
            where,
            "no-key",
            f"would have the subject's own key: give one of {', '.join(subject.key)} a default, or a value",
        )
