"""The references by which the map's roles find rows: whose target goes first, they are found by nobody. Pure.

A foreign key or ``refers`` says that a row needs another; a role says that its person is known by that other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops_platform.gdpr.data_map import Belonging, ByColumn, ByParent, Constant, DataMap, Table, kinds
from ops_platform.gdpr.schema import Catalogue, Name, Reference


@dataclass(frozen=True)
class RoleReference(Reference):
    """A role of ``table``, as a reference to the rows of ``target`` by which it finds its own.

    ``where``: the role's. ``leads_by``: the columns of ``target`` without which its rows lead to nobody.
    ``names``: the columns hold what the subject is known by, rather than a key of another row.
    """

    where: tuple[tuple[str, tuple[Constant, ...]], ...] = ()
    leads_by: frozenset[str] = frozenset()
    names: bool = False


def references(data_map: DataMap, catalogue: Catalogue) -> list[RoleReference]:
    """List the references of every kind's roles whose columns are in the catalogue."""
    found = dict[RoleReference, None]()
    for of_kind in kinds.every(data_map):
        for table, belonging in of_kind.belongings():
            reference = _reference(of_kind, table, belonging)
            if reference is not None and _is_there(reference, catalogue) and not _is_itself(reference):
                found[reference] = None
    return list(found)


def unanswerable(data_map: DataMap, target: Name) -> Iterator[tuple[Table, Belonging]]:
    """Yield roles that find rows by what rows of ``target`` hold, where no row can be asked for these.

    An array, a document or a text holds identifiers of many.
    """
    for of_kind in kinds.every(data_map):
        subject = of_kind.subject
        if target not in {subject.table, *(known.table for known in subject.known_by)}:
            continue
        for table, belonging in of_kind.belongings():
            if not isinstance(belonging.way, ByColumn | ByParent):
                yield table, belonging


def names(data_map: DataMap, target: Name) -> frozenset[str]:
    """List the columns of ``target`` that name a subject of any kind, or lead to one who is known by them."""
    found = set[str]()
    for of_kind in kinds.every(data_map):
        found.update(of_kind.subject.columns if of_kind.subject.table == target else ())
        for known in of_kind.subject.known_by:
            if known.table == target:
                found |= {known.column} | _linking(of_kind, target, None)
    return frozenset(found)


def without_implied(of_one_target: Sequence[Reference]) -> list[Reference]:
    """Leave out the roles' references to rows that a foreign key, or another role, refers to as well."""
    kept: list[Reference] = [one for one in of_one_target if not isinstance(one, RoleReference)]
    for reference in of_one_target:
        if isinstance(reference, RoleReference) and not any(_implies(reference, other) for other in kept):
            kept.append(reference)
    return kept


def _implies(reference: RoleReference, other: Reference) -> bool:
    """Tell whether each row with ``reference`` has ``other`` as well, so that one question is enough."""
    where = dict(other.where) if isinstance(other, RoleReference) else {}
    return (
        other.table == reference.table
        and set(zip(other.columns, other.target_columns, strict=True))
        <= set(zip(reference.columns, reference.target_columns, strict=True))
        and where.items() <= dict(reference.where).items()
    )


def _reference(data_map: DataMap, table: Table, belonging: Belonging) -> RoleReference | None:
    """Write a role as a reference; None where it goes by no column that equals another."""
    way, subject = belonging.way, data_map.subject
    where = tuple((name, tuple(values)) for name, values in belonging.where.items())

    def to(target: Name, columns: tuple[str, ...], leads_by: frozenset[str]) -> RoleReference:
        return RoleReference(
            f"role {belonging.role}",
            table.name,
            way.columns,
            target,
            columns,
            "no action",
            deferrable=False,
            where=where,
            leads_by=leads_by,
            names=isinstance(way, ByColumn),
        )

    if isinstance(way, ByParent):
        return to(way.table, way.to, frozenset(way.to) | _linking(data_map, way.table, way))
    if not isinstance(way, ByColumn):
        return None
    for known in subject.known_by:
        if way.holds == (known.name,):
            linking = _linking(data_map, known.table, None)
            return to(known.table, (known.column,), frozenset({known.column}) | linking)
    return to(subject.table, way.holds, frozenset(way.holds))


def _linking(data_map: DataMap, name: Name, through: ByParent | None) -> frozenset[str]:
    """List the columns by which rows of a parent or side table belong to somebody."""
    table = data_map.tables.get(name)
    return frozenset(
        column
        for belonging in (table.belongings if table else ())
        if through is None or through.goes_through(belonging)
        for column in belonging.columns
    )


def _is_there(reference: RoleReference, catalogue: Catalogue) -> bool:
    here = {*reference.columns, *(name for name, _ in reference.where)}
    return all(
        name in catalogue.relations and columns <= set(catalogue.relations[name].columns)
        for name, columns in ((reference.table, here), (reference.target, set(reference.target_columns)))
    )


def _is_itself(reference: RoleReference) -> bool:
    """Tell whether the reference leads from each row to itself, as that of the subject's own table."""
    return reference.table == reference.target and reference.columns == reference.target_columns
