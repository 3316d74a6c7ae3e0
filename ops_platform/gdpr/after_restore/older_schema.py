"""A data map for an older state of its database: without what was added since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByParent, DataMap, Delete, Table
from ops_platform.gdpr.schema import Catalogue, Relation


def fitting(data_map: DataMap, catalogue: Catalogue) -> DataMap:
    """The map without tables, views, columns and triggers that the database does not have.

    What the database has and the map does not name stays a finding of ``map_check``.
    """
    there = catalogue.relations
    tables = {
        name: _table(table, there[name], catalogue)
        for name, table in data_map.tables.items()
        if name in there
    }
    views = {
        name: replace(
            view,
            personal=_present(view.personal, there[name].columns),
            plain=_present(view.plain, there[name].columns),
            refresh=view.refresh if view.refresh in catalogue.functions else None,
        )
        for name, view in data_map.views.items()
        if name in there
    }
    subject = data_map.subject
    if subject.table in there:
        columns = there[subject.table].columns
        subject = replace(
            subject,
            identifiers=tuple(one for one in subject.identifiers if one in columns),
            stand_in=_kept(subject.stand_in, columns),
        )
    return replace(data_map, subject=subject, tables=tables, views=views)


def _table(table: Table, relation: Relation, catalogue: Catalogue) -> Table:
    columns = relation.columns
    triggers = {one.name for one in relation.triggers}
    return replace(
        table,
        personal=_present(table.personal, columns),
        plain=_present(table.plain, columns),
        documents=_kept(table.documents, columns),
        belongings=tuple(
            _belonging(one, columns) for one in table.belongings if _found_by(one, columns, catalogue)
        ),
        created=table.created if table.created in columns else None,
        triggers={name: why for name, why in table.triggers.items() if name in triggers},
    )


def _found_by(one: Belonging, columns: Mapping[str, Any], catalogue: Catalogue) -> bool:
    way = one.way
    if way.column not in columns:
        return False
    if isinstance(way, ByParent):
        parent = catalogue.relations.get(way.table)
        return parent is not None and way.to in parent.columns
    return True


def _belonging(one: Belonging, columns: Mapping[str, Any]) -> Belonging:
    erasure = one.erasure
    if isinstance(erasure, Anonymise):
        return replace(one, erasure=Anonymise(_kept(erasure.columns, columns)))
    if isinstance(erasure, Delete) and erasure.otherwise is not None:
        return replace(one, erasure=Delete(_kept(erasure.otherwise, columns)))
    return one


def _present(named: Iterable[str], columns: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(one for one in named if one in columns)


def _kept(named: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if name in columns}
