"""The draft of a data map with several kinds of subject, from the drafts for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.map_check.draft.map_proposal import draft
from ops_platform.gdpr.map_check.draft.value_look import ValueLook
from ops_platform.gdpr.schema import Catalogue, Name

_LISTS = ("personal", "plain")


def draft_of_kinds(
    catalogue: Catalogue,
    tables: Sequence[Name],
    key: Sequence[str],
    email: str,
    look: ValueLook | None = None,
) -> str:
    """Draft a map as YAML for the subjects of these tables; requests of the API are about the first.

    A table without the columns of ``key`` or ``email`` goes by its primary key, and by the one column that
    is named like an address. Raises CheckFailed when a table or such a column is not there.
    """
    drafts = [
        draft(catalogue, table, _key(catalogue, table, key), _email(catalogue, table, email), look)
        for table in tables
    ]
    if len(drafts) == 1:
        return drafts[0]
    maps = [yaml.safe_load(text) for text in drafts]
    subjects = {one["subject"].pop("kind"): one["subject"] for one in maps}
    if len(subjects) < len(maps):
        raise CheckFailed("two of the tables have the same name: draft a map for each, and join them")
    data_map: dict[str, Any] = {
        "version": 1,
        "subjects": subjects,
        "tables": {
            name: _table({kind: one["tables"][name] for kind, one in zip(subjects, maps, strict=True)})
            for name in maps[0]["tables"]
        },
    }
    if "views" in maps[0]:
        data_map["views"] = maps[0]["views"]
    return yaml.safe_dump(data_map, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _key(catalogue: Catalogue, table: Name, key: Sequence[str]) -> Sequence[str]:
    relation = catalogue.relations.get(table)
    return key if relation is None or set(key) <= set(relation.columns) else relation.key or key


def _email(catalogue: Catalogue, table: Name, email: str) -> str:
    relation = catalogue.relations.get(table)
    if relation is None or email in relation.columns:
        return email
    addresses = [name for name in relation.columns if "mail" in name.lower()]
    return addresses[0] if len(addresses) == 1 else email


def _table(by_kind: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Join what the drafts for each kind say of a table: what is personal for one kind is for all."""
    rows = [
        {"role": row["role"], "of": kind, **row}
        for kind, table in by_kind.items()
        for row in table.get("rows", ())
    ]
    linking = {column for row in rows for column in _columns(row)}
    personal = {column for table in by_kind.values() for column in table.get("personal", ())}
    columns = {
        column: None
        for table in by_kind.values()
        for name in _LISTS
        for column in table.get(name, ())
        if column not in linking
    }
    joined: dict[str, Any] = {}
    for table in by_kind.values():
        for name, value in table.items():
            if isinstance(value, dict):
                # A column that rows of another kind belong by is decided by that.
                of_columns = {column: said for column, said in value.items() if column not in linking}
                joined[name] = {**of_columns, **joined.get(name, {})}
            elif name not in (*_LISTS, "rows"):
                joined.setdefault(name, value)
    lists = {
        "personal": [column for column in columns if column in personal],
        "plain": [column for column in columns if column not in personal],
    }
    said = {name: value for name, value in {**joined, **lists}.items() if value}
    return {**said, **({"rows": rows} if rows else {})}


def _columns(row: Mapping[str, Any]) -> list[str]:
    """List the columns that a drafted role goes by, ``where`` included."""
    by = next(row[way] for way in ("column", "array", "json", "mentions") if way in row)
    return [*([by] if isinstance(by, str) else by), *row.get("where", ())]
