"""The draft of a data map, from the catalogue: what refers to the subject, and what looks personal.

It leaves to people what only they can know; ``map check`` refuses it until that is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import UNDECIDED
from ops_platform.gdpr.map_check.coverage import JSON_TYPES
from ops_platform.gdpr.schema import Catalogue, Column, Name, Reference, Relation

_PERSONAL = re.compile(
    r"name|mail|phone|mobile|address|street|city|zip|postal|birth|gender|sex|nation|iban|bic|tax|ssn|passport"
    r"|(^|_)ip($|_)|user_?agent|device|geo|lat|lon|location|token|secret|password|hash|avatar|photo|picture"
    r"|handle|login|bio|note|comment|message|body|text|title|description|url|link|website",
    re.IGNORECASE,
)
# Types whose values can tell of a person by themselves.
_TELLING = {
    *("text", "character varying", "character", "citext", "inet", "cidr", "macaddr", "bytea", "xml"),
    *JSON_TYPES,
}
_IDENTIFIERS = re.compile(r"mail|handle|login|user_?name|phone", re.IGNORECASE)


def draft(catalogue: Catalogue, table: Name, key: Sequence[str], email: str) -> str:
    """Draft a map as YAML. Raises CheckFailed when the subject's table or one of its columns is not there."""
    subject = catalogue.relations.get(table)
    if subject is None:
        raise CheckFailed(f"there is no table {table}")
    for column in (*key, email):
        if column not in subject.columns:
            raise CheckFailed(f"{table} has no column {column}")
    owned = _references(catalogue, table)
    tables, views = {}, {}
    for name, relation in sorted(catalogue.relations.items()):
        if relation.kind in ("view", "matview"):
            views[str(name)] = _lists(relation, frozenset())
        elif relation.kind not in ("partition", "child"):
            tables[str(name)] = _table(relation, table, list(key), owned.get(name, []))
    identifiers = [name for name in subject.columns if _IDENTIFIERS.search(name) and name != email]
    data_map: dict[str, Any] = {
        "version": 1,
        "subject": {
            "kind": re.sub(r"\W", "_", table.relation.lower()).removesuffix("s") or "subject",
            "table": str(table),
            "key": _one_or_several(key),
            "email": email,
            "identifiers": identifiers,
        },
        "tables": tables,
    }
    if views:
        data_map["views"] = views
    return yaml.safe_dump(data_map, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _references(catalogue: Catalogue, subject: Name) -> Mapping[Name, list[Reference]]:
    """Map each table to its references that lead to a subject, direct ones first, then through others."""
    references: dict[Name, list[Reference]] = {}
    reached, level = {subject}, [subject]
    while level:
        further = []
        for reference in catalogue.references:
            if reference.target not in level:
                continue
            if reference.table in reached and reference.target != subject:
                continue
            references.setdefault(reference.table, []).append(reference)
            if reference.table not in reached and reference.table not in further:
                further.append(reference.table)
        reached.update(further)
        level = further
    return references


def _table(relation: Relation, subject: Name, key: list[str], references: list[Reference]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    if relation.name == subject:
        account = {"role": "account", "column": _one_or_several(key), "erase": "delete", "export": "own"}
        rows.append(account)
    for reference in references:
        columns, to = list(reference.columns), list(reference.target_columns)
        row: dict[str, Any] = {"role": _role(columns[-1]), "column": _one_or_several(columns)}
        nullable = [column for column in columns if not relation.columns[column].not_null]
        if reference.target != subject:
            row |= {"through": str(reference.target), "to": _one_or_several(to)}
        elif to != key:
            row |= {"holds": _one_or_several(to)}
        keeps = nullable and (reference.on_delete == "set null" or relation.name == subject)
        # The last one: a tenant comes before what it holds.
        row["erase"] = {"anonymise": {nullable[-1]: None}} if keeps else "delete"
        row["export"] = "none" if keeps else "own"
        rows.append(row)
    linking = frozenset(column for row in rows for column in _names(row["column"]))
    return {
        "purpose": f"{UNDECIDED}: why do you keep this?",
        "retention": f"{UNDECIDED}: until when?",
        **_lists(relation, linking, owned=bool(rows)),
        **({"rows": rows} if rows else {}),
    }


def _lists(relation: Relation, linking: frozenset[str], *, owned: bool = True) -> dict[str, list[str]]:
    columns = [column for column in relation.columns.values() if column.name not in linking]
    personal = [column.name for column in columns if owned and _looks_personal(column)]
    plain = [column.name for column in columns if column.name not in personal]
    return {key: names for key, names in (("personal", personal), ("plain", plain)) if names}


def _looks_personal(column: Column) -> bool:
    # A free text may say anything: it is personal until somebody says that it is not.
    return column.base in _TELLING or bool(_PERSONAL.search(column.name))


def _one_or_several(columns: Sequence[str]) -> str | list[str]:
    return columns[0] if len(columns) == 1 else list(columns)


def _names(columns: str | list[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else columns


def _role(column: str) -> str:
    return re.sub(r"(_id|Id|_uuid|_key)$", "", column) or column
