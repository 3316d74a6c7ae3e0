"""The draft of a data map: the subject, each table's entry, the views.

It leaves to people what only they can know; ``map check`` refuses it until that is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.map_check.draft import known_by_guess, role_graph
from ops_platform.gdpr.map_check.draft.link_guess import Guesser
from ops_platform.gdpr.map_check.draft.ownership import ownership
from ops_platform.gdpr.map_check.draft.table_proposal import TableProposal, one_or_several
from ops_platform.gdpr.map_check.draft.value_look import ValueLook
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Catalogue, Name

_STORED = ("table", "partitioned", "foreign")


def draft(
    catalogue: Catalogue, table: Name, key: Sequence[str], email: str, look: ValueLook | None = None
) -> str:
    """Draft a map as YAML. Raises CheckFailed when the subject's table or one of its columns is not there.

    ``email``: a column of the subject's table, or ``table.column`` of a side table.
    ``look``: the look at values; without one, names and types have to do.
    """
    subject = catalogue.relations.get(table)
    if subject is None:
        raise CheckFailed(f"there is no table {table}")
    for column in key:
        if column not in subject.columns:
            raise CheckFailed(f"{table} has no column {column}")
    look, own = look or ValueLook(), [email] if email in subject.columns else []
    identifiers = [
        name
        for name, column in subject.columns.items()
        if name not in (*own, *key) and column_names.is_identifier(column, subject)
    ]
    guesser = Guesser(catalogue, table, (*key, *own, *identifiers), len(key), look)
    stored = {
        name: relation for name, relation in sorted(catalogue.relations.items()) if relation.kind in _STORED
    }
    owned = ownership(
        catalogue, table, {name: list(guesser.guesses(relation)) for name, relation in stored.items()}
    )
    proposal = TableProposal(table, tuple(key), look, catalogue, owned)
    tables = {str(name): proposal.entry(relation) for name, relation in stored.items()}
    role_graph.widen(tables)
    known_by = list(known_by_guess.known_by(catalogue, table, tables))
    address = email if own else known_by_guess.address(known_by, email)
    if address is None:
        raise CheckFailed(
            f"{table} has no column {email}, and no table with rows of theirs has a unique one: say --email"
        )
    data_map: dict[str, Any] = {
        "version": 1,
        "subject": {
            "kind": re.sub(r"\W", "_", table.relation.lower()).removesuffix("s") or "subject",
            "table": str(table),
            "key": one_or_several(key),
            "email": address,
            "identifiers": identifiers,
            **({"known_by": known_by} if known_by else {}),
        },
        "tables": tables,
    }
    views = {
        str(name): proposal.view(relation)
        for name, relation in sorted(catalogue.relations.items())
        if relation.kind in ("view", "matview")
    }
    if views:
        data_map["views"] = views
    return yaml.safe_dump(data_map, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
