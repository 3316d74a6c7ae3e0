"""Fitting the data map to an older schema of its database: without what was added since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ops_platform.gdpr.data_map import (
    Anonymise,
    Belonging,
    ByMention,
    ByParent,
    DataMap,
    Delete,
    Subject,
    Table,
)
from ops_platform.gdpr.row_erasure import others
from ops_platform.gdpr.schema import Catalogue, Relation


def fit(data_map: DataMap, catalogue: Catalogue) -> DataMap:
    """Leave out tables, views, columns and triggers that the database does not have.

    Also other kinds of subject whose table is missing. What the database has and the map does not name stays
    a finding of ``map_check``.
    """
    fitted = _fit(data_map, catalogue)
    others = (_fit(other, catalogue) for other in data_map.others if _is_there(other.subject, catalogue))
    return replace(fitted, others=tuple(others))


def _is_there(subject: Subject, catalogue: Catalogue) -> bool:
    relation, (table, column) = catalogue.relations.get(subject.table), subject.address
    addresses = catalogue.relations.get(table)
    return (
        relation is not None
        and set(subject.key) <= set(relation.columns)
        and addresses is not None
        and column in addresses.columns
    )


def _fit(data_map: DataMap, catalogue: Catalogue) -> DataMap:
    relations = catalogue.relations
    tables = {
        name: _table(table, relations[name], catalogue)
        for name, table in data_map.tables.items()
        if name in relations
    }
    views = {
        name: replace(
            view,
            personal=_present(view.personal, relations[name].columns),
            plain=_present(view.plain, relations[name].columns),
            refresh=view.refresh if view.refresh in catalogue.functions else None,
        )
        for name, view in data_map.views.items()
        if name in relations
    }
    subject = data_map.subject
    if subject.table in relations:
        columns = relations[subject.table].columns
        subject = replace(
            subject,
            identifiers=tuple(column for column in subject.identifiers if column in columns),
            parts=tuple(column for column in subject.parts if column in columns),
            known_by=tuple(
                known
                for known in subject.known_by
                if known.table in relations and known.column in relations[known.table].columns
            ),
            stand_in=_existing(subject.stand_in, columns),
        )
    accepted = tuple(
        place
        for place in data_map.accepted
        if place.table in relations and place.column in relations[place.table].columns
    )
    return replace(data_map, subject=subject, tables=tables, views=views, accepted=accepted)


def _table(table: Table, relation: Relation, catalogue: Catalogue) -> Table:
    columns = relation.columns
    triggers = {trigger.name for trigger in relation.triggers}
    return replace(
        table,
        personal=_present(table.personal, columns),
        plain=_present(table.plain, columns),
        documents=_existing(table.documents, columns),
        belongings=tuple(
            _belonging(belonging, columns)
            for belonging in table.belongings
            if _has_its_columns(belonging, columns, catalogue)
        ),
        of_other_kinds=tuple(
            _belonging(belonging, columns)
            for belonging in table.of_other_kinds
            if _has_its_columns(belonging, columns, catalogue)
        ),
        created=table.created if table.created in columns else None,
        triggers={name: reason for name, reason in table.triggers.items() if name in triggers},
        reasons=_existing(table.reasons, columns),
        refers={
            name: (target, to)
            for name, (target, to) in _existing(table.refers, columns).items()
            if target in catalogue.relations and to in catalogue.relations[target].columns
        },
        undecided=_existing(table.undecided, columns),
    )


def _has_its_columns(belonging: Belonging, columns: Mapping[str, Any], catalogue: Catalogue) -> bool:
    way = belonging.way
    if isinstance(way, ByMention):
        return bool(set(way.columns) & set(columns)) and set(belonging.where) <= set(columns)
    # Without a column of ``where`` nobody can tell whose rows are: what is left unclassified is refused then.
    if not belonging.columns <= set(columns):
        return False
    if isinstance(way, ByParent):
        parent = catalogue.relations.get(way.table)
        return parent is not None and set(way.to) <= set(parent.columns)
    return True


def _belonging(belonging: Belonging, columns: Mapping[str, Any]) -> Belonging:
    fitted = _with_its_columns(belonging, columns)
    # Of what it took from others nothing may be left, and so nothing to decide.
    return fitted if others.takes(fitted) else replace(fitted, shared=None)


def _with_its_columns(belonging: Belonging, columns: Mapping[str, Any]) -> Belonging:
    erasure = belonging.erasure
    if isinstance(belonging.way, ByMention):
        return replace(
            belonging, way=ByMention(tuple(name for name in belonging.way.columns if name in columns))
        )
    if isinstance(erasure, Anonymise):
        return replace(belonging, erasure=Anonymise(_existing(erasure.columns, columns)))
    if isinstance(erasure, Delete) and erasure.otherwise is not None:
        return replace(belonging, erasure=Delete(_existing(erasure.otherwise, columns)))
    return belonging


def _present(named: Iterable[str], columns: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(column for column in named if column in columns)


def _existing(named: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if name in columns}
