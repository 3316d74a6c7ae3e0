"""The draft's guesses of identifiers in side tables: addresses of an account, numbers of a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ops_platform.gdpr.data_map import UNDECIDED
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Catalogue, Column, Name, Relation


def known_by(
    catalogue: Catalogue, subject: Name, entries: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield proposals for ``known_by``: columns that name one row alone, in rows that are the subject's.

    ``entries``: what is proposed for ``tables``. Only by roles that go by the subject's key and delete: a row
    that only refers to the subject has the address of somebody else.
    """
    for text, entry in entries.items():
        name = Name.parse(text)
        roles = [
            row["role"]
            for row in entry.get("rows", ())
            if row["erase"] == "delete" and "column" in row and not {"through", "holds"} & set(row)
        ]
        relation = catalogue.relations.get(name)
        if name == subject or relation is None or not roles:
            continue
        for column in relation.columns.values():
            if names_somebody(column, relation) and relation.identified_by([column.name]):
                why = "no two rows have the same; is it always their own, and nobody's whom they invite"
                yield {
                    "table": text,
                    "column": column.name,
                    "roles": roles,
                    "undecided": f"{UNDECIDED}: {why}?",
                }


def names_somebody(column: Column, relation: Relation) -> bool:
    """Tell whether a column of a side table looks like an identifier."""
    return column_names.is_identifier(column, relation) or column_names.names_addresses(column, relation.name)


def address(proposals: list[dict[str, Any]], email: str) -> str | None:
    """Choose the one that is the subject's address of e-mail: ``email``, or the first that looks so."""
    names = [f"{one['table']}.{one['column']}" for one in proposals]
    if email in names:
        return email
    return next((name for name in names if "mail" in name.lower()), None)
