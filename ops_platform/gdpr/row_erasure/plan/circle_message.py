"""The message about a circle that nothing opens: what is in it, and what can help."""

from __future__ import annotations

from collections.abc import Sequence

from ops_platform.gdpr.row_erasure.plan.plan_step import Step
from ops_platform.gdpr.row_erasure.plan.step_order import Edge
from ops_platform.gdpr.schema import Catalogue, Reference, dependency_order


def of(circle: Sequence[Sequence[Edge]], steps: Sequence[Step], catalogue: Catalogue) -> str:
    """Word a circle of edges, by the pair of steps that they link."""
    firsts = [steps[edges[0].before] for edges in circle]
    # Where rows are found through each other besides, a foreign key that waits would not help.
    references = list(
        dict.fromkeys(
            edge.reference
            for edges in circle
            if all(edge.reference is not None for edge in edges)
            for edge in edges
            if edge.reference is not None
        )
    )
    if references:
        tables = dict.fromkeys(step.table for step in firsts)
        if all(dependency_order.nullable(reference, catalogue) for reference in references):
            return (
                f"{' -> '.join(map(str, tables))} refer to each other in a circle that nothing opens, for "
                "rows are found by what could be emptied: make the constraint of one of "
                f"{_columns(references)} DEFERRABLE, or find the rows by other columns"
            )
        return dependency_order.circle_message([*tables], references)
    places = dict.fromkeys(f"{step.table} ({step.belonging.role})" for step in firsts)
    return (
        f"{' -> '.join(places)} -> {next(iter(places))}: rows are found in a circle, each through rows "
        "that the next one changes, so that no order finds them all: leave one of these roles out of the "
        "roles of what is found through it, or find its rows by a column that holds the subject's key"
    )


def _columns(references: Sequence[Reference]) -> str:
    return ", ".join(f"{reference.table}.{'+'.join(reference.columns)}" for reference in references)
