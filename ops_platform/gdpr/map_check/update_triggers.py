"""The check of triggers that change or refuse a row which an erasure updates.

Found here by name, they would otherwise stop an erasure halfway, for its batches prove what they changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops_platform.gdpr.data_map import (
    Anonymise,
    Belonging,
    Constant,
    DataMap,
    Delete,
    Redact,
    Remove,
    Table,
    Value,
)
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Relation, Trigger
from ops_platform.gdpr.schema.trigger_source import Assignment


def check(data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List the triggers that would undo a change, refuse it, or change more than the map says."""
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        if relation is None:
            continue
        parts = [child for child in catalogue.relations.values() if child.parent == table.name]
        for storing in (relation, *parts):
            for trigger in storing.triggers:
                yield from _trigger(table, storing, trigger)


def values(belonging: Belonging) -> Mapping[str, Value]:
    """Return the values that a role gives to columns of rows that stay, by column."""
    erasure = belonging.erasure
    if isinstance(erasure, Anonymise):
        return erasure.columns
    return (erasure.otherwise or belonging.replaced) if isinstance(erasure, Delete) else {}


def _trigger(table: Table, relation: Relation, trigger: Trigger) -> Iterator[Finding]:
    where, also = f"{relation.name}.{trigger.name}", set[str]()
    for belonging in table.belongings:
        given = values(belonging)
        written = set(given)
        if isinstance(belonging.erasure, Remove | Redact):
            written |= set(belonging.way.columns)
        if not written or not trigger.acts_on(written):
            continue
        for problem in _problems(trigger, written, given):
            yield Finding(
                where,
                "trigger-undoes",
                f"{problem} ({trigger.function}), so role {belonging.role} could not be carried out: let "
                "the function pass what the platform's role writes",
                Finding.places(table.name, trigger.name),
            )
        also |= {
            assignment.column
            for assignment in trigger.row.assignments
            if assignment.column not in written and not assignment.if_null and _follows(assignment, written)
        }
    left = sorted(also & set(relation.columns) - (table.plain if table.triggers else frozenset()))
    if left:
        remedy = (
            "set them in each role that changes rows, or class them as plain"
            if trigger.name in table.triggers
            else "look, say in triggers why that leaves nothing of the subject, and class them as plain"
        )
        yield Finding(
            where,
            "trigger-changes",
            f"changes {', '.join(left)} with each update ({trigger.function}): {remedy}",
        )


def _problems(trigger: Trigger, written: set[str], given: Mapping[str, Value]) -> Iterator[str]:
    for column in sorted(trigger.row.guarded & written):
        yield f"refuses to change {column}"
    if trigger.row.passes_over:
        yield "returns the old row or none, as if nothing were changed"
    undone = {
        assignment.column
        for assignment in trigger.row.assignments
        if assignment.column in written and _undoes(assignment, given.get(assignment.column))
    }
    for column in sorted(undone):
        yield f"sets {column} before the row is written"


def _undoes(assignment: Assignment, value: Value | None) -> bool:
    """Tell whether an assignment surely replaces ``value``: what normalises it, leaves it as good."""
    expression = assignment.expression.lower()
    if assignment.if_null:
        return value == Constant(None)
    if assignment.old or (assignment.reads is not None and assignment.column not in assignment.reads):
        return True
    if not isinstance(value, Constant) or assignment.reads != frozenset((assignment.column,)):
        return False
    if value.value is None:
        return expression.startswith(("coalesce", "concat", "format"))
    text = value.value
    return isinstance(text, str) and (
        (expression.startswith("lower") and text != text.lower())
        or (expression.startswith("upper") and text != text.upper())
    )


def _follows(assignment: Assignment, written: set[str]) -> bool:
    """Tell whether an assigned column differs after the update: what it is made from was written."""
    return assignment.old or not assignment.reads or bool(assignment.reads & written)
