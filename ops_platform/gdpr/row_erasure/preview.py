"""Preview of an erasure, in numbers only: rows by table and role. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import Anonymise, DataMap, Delete, Keep, Redact
from ops_platform.gdpr.row_erasure.plan import Step, plan
from ops_platform.gdpr.row_erasure.residue_scan import NOT_READ
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.spellings import Sought, why_skipped
from ops_platform.gdpr.subject import Identity, row_predicates


@dataclass(frozen=True)
class Share:
    """The number of rows of ``table`` that are the subject's in ``role``, and what is done with them."""

    table: str
    role: str
    erasure: str
    rows: int


@dataclass(frozen=True)
class Searching:
    """The reach of a residue scan: ``columns`` by table, and the names of the ``identifiers``."""

    columns: Mapping[str, tuple[str, ...]]
    identifiers: tuple[str, ...]


def preview(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity
) -> list[Share]:
    """Count the rows of every step, in the order of an erasure, also where there are none.

    A row can be in several steps.

    Raises what psycopg raises.
    """
    shares = []
    for step in plan(data_map, catalogue).steps:
        belongs = row_predicates.condition(data_map, catalogue, step.table, step.belonging, identity, "t")
        not_empty = [sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(column)) for column in step.columns]
        query = sql.SQL("SELECT count(*) AS rows FROM {} AS t WHERE {}").format(
            step.table.identifier, sql.SQL(" AND ").join([sql.SQL("({})").format(belongs), *not_empty])
        )
        row = one_row(connection, query)
        shares.append(Share(str(step.table), step.belonging.role, describe(step), int(row["rows"])))
    return shares


def not_searched(data_map: DataMap, *identities: Identity) -> dict[str, str]:
    """Say for which identifiers the residue scan does not look, by name, and why; values are not told."""
    reasons: dict[str, set[str]] = {}
    for identity in identities:
        for name in (*identity.values, *identity.known_by):
            for value in identity.of(name):
                reason = why_skipped(value)
                if reason is not None and name not in data_map.subject.parts:
                    reasons.setdefault(name, set()).add(reason)
    return {name: ", or ".join(sorted(found)) for name, found in sorted(reasons.items())}


def searched(data_map: DataMap, catalogue: Catalogue, *identities: Identity) -> Searching:
    """Say in which columns, by table, the residue scan looks, and for which identifiers, by name."""
    sought = Sought.of(value for identity in identities for value in identity.names(data_map.subject))
    columns = {
        str(relation.name): tuple(
            name for name, column in relation.columns.items() if sought.searches(column)
        )
        for relation in catalogue.relations.values()
        if relation.kind not in NOT_READ
    }
    names = {
        name
        for identity in identities
        for name in (*identity.values, *identity.known_by)
        if name not in data_map.subject.parts
        and any(why_skipped(value) is None for value in identity.of(name))
    }
    return Searching(
        {table: searched for table, searched in columns.items() if searched}, tuple(sorted(names))
    )


def describe(step: Step) -> str:
    """Describe the step in the data map's words; the journal and certificates store it."""
    erasure = step.belonging.erasure
    if step.kind == "empty":
        return f"empty {', '.join(step.columns)}"
    if isinstance(erasure, Delete):
        return "delete" if erasure.otherwise is None else "delete unless referenced"
    if isinstance(erasure, Anonymise):
        return f"anonymise {', '.join(sorted(erasure.columns))}"
    if isinstance(erasure, Redact):
        return f"redact {', '.join(sorted(step.belonging.way.columns))}"
    return f"keep: {erasure.basis}; {erasure.term}" if isinstance(erasure, Keep) else "remove"
