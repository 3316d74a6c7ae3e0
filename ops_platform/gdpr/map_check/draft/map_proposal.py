"""The draft of a data map: the subject, each table's entry, the views.

It leaves to people what only they can know; ``map check`` refuses it until that is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import Database
from ops_platform.gdpr.map_check.draft import known_by_guess, role_graph, shared_proposal
from ops_platform.gdpr.map_check.draft.link_guess import Guesser
from ops_platform.gdpr.map_check.draft.ownership import ownership
from ops_platform.gdpr.map_check.draft.table_proposal import TableProposal, one_or_several
from ops_platform.gdpr.map_check.draft.value_look import ValueLook
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Catalogue, Name, Relation

_STORED = ("table", "partitioned", "foreign")


def draft(
    catalogue: Catalogue, table: Name, key: Sequence[str], email: str, look: ValueLook | None = None
) -> str:
    """Draft a map as YAML. Raises CheckFailed when the subject's table or one of its columns is not there.

    ``email``: a column of the subject's table, or ``table.column`` of a side table.
    ``look``: the look at values; without one, names and types have to do.
    """
    subject, look = _subject(catalogue, table, key), look or ValueLook()
    own = [email] if email in subject.columns else []
    identifiers = _identifiers(subject, (*own, *key))
    tables, views = _places(catalogue, table, key, (*own, *identifiers), look)
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
    if views:
        data_map["views"] = views
    shared_proposal.propose(data_map, catalogue)
    return _written(data_map)


def draft_of_database(
    catalogue: Catalogue,
    home: Catalogue,
    table: Name,
    key: Sequence[str],
    email: str,
    database: Database,
    look: ValueLook,
) -> str:
    """Draft the part of a map about another database than that of the subject's ``table``, as YAML.

    ``home``: the catalogue of the latter. Identifiers of its side tables are not looked for. Raises
    CheckFailed when the table or a column of its key is not there.
    """
    subject, elsewhere = _subject(home, table, key), Name("", table.relation)
    with_subject = replace(
        catalogue, relations={**catalogue.relations, elsewhere: replace(subject, name=elsewhere)}
    )
    own = [email] if email in subject.columns else []
    tables, views = _places(with_subject, elsewhere, key, (*own, *_identifiers(subject, (*own, *key))), look)
    part = {"url_env": database.url_env, "tables": tables, **({"views": views} if views else {})}
    return _written({"databases": {database.name: part}})


def _subject(catalogue: Catalogue, table: Name, key: Sequence[str]) -> Relation:
    subject = catalogue.relations.get(table)
    if subject is None:
        raise CheckFailed(f"there is no table {table}")
    for column in key:
        if column not in subject.columns:
            raise CheckFailed(f"{table} has no column {column}")
    return subject


def _identifiers(subject: Relation, known: Sequence[str]) -> list[str]:
    return [
        name
        for name, column in subject.columns.items()
        if name not in known and column_names.is_identifier(column, subject)
    ]


def _places(
    catalogue: Catalogue, subject: Name, key: Sequence[str], identifiers: Sequence[str], look: ValueLook
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Propose the entries of the tables and views of a database."""
    guesser = Guesser(catalogue, subject, (*key, *identifiers), len(key), look)
    stored = {
        name: relation
        for name, relation in sorted(catalogue.relations.items())
        if relation.kind in _STORED and name.schema
    }
    owned = ownership(
        catalogue, subject, key, {name: list(guesser.guesses(relation)) for name, relation in stored.items()}
    )
    proposal = TableProposal(subject, tuple(key), look, catalogue, owned)
    tables = {str(name): proposal.entry(relation) for name, relation in stored.items()}
    role_graph.widen(tables)
    views = {
        str(name): proposal.view(relation)
        for name, relation in sorted(catalogue.relations.items())
        if relation.kind in ("view", "matview")
    }
    return tables, views


def _written(data_map: dict[str, Any]) -> str:
    return yaml.safe_dump(data_map, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
