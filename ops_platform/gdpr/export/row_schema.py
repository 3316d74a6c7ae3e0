"""schema.json: the JSON Schema of every data file of an export, by its path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ops_platform.gdpr.export.overview import Overview
from ops_platform.gdpr.export.page_values import label
from ops_platform.gdpr.schema import Column

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "boolean": {"type": "boolean"},
    "smallint": {"type": "integer"},
    "integer": {"type": "integer"},
    "bigint": {"type": "integer"},
    # NaN and infinity are texts.
    "real": {"type": ["number", "string"]},
    "double precision": {"type": ["number", "string"]},
    "numeric": {"type": ["number", "string"]},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "timestamp with time zone": {"type": "string", "format": "date-time"},
    "bytea": {"type": "string", "contentEncoding": "base64"},
    "text": {"type": "string"},
    "character varying": {"type": "string"},
    "character": {"type": "string"},
    "inet": {"type": "string"},
    "citext": {"type": "string"},
}
"""The schema of a value by its type below arrays and domains; a type that is not here may be anything."""


def of_row(columns: Iterable[Column], titles: Mapping[str, str], hidden: frozenset[str]) -> dict[str, Any]:
    """Compose the schema of one row. ``hidden``: columns in which other people have made-up names."""
    properties = {
        column.name: {"title": titles.get(column.name) or label(column.name), **_value(column, hidden)}
        for column in columns
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _value(column: Column, hidden: frozenset[str]) -> dict[str, Any]:
    base = column.base.partition("(")[0]
    if column.array or base not in _TYPES:
        return {}
    described = dict(_TYPES[base])
    kinds = described["type"] if isinstance(described["type"], list) else [described["type"]]
    if column.name in hidden:
        # A made-up name is a text, whatever the column is.
        return {"type": sorted({*kinds, "string", "null"})}
    return {**described, "type": [*kinds, "null"]}


def document(overview: Overview) -> dict[str, Any]:
    """Compose schema.json: for each file of rows the schema of the file, or of one line of it."""
    files = {}
    for part in overview.parts:
        if part.entry is None:
            continue
        described = {"title": part.title, "description": part.purpose}
        row = {**described, **part.schema}
        lines = part.entry.path.endswith(".jsonl")
        files[part.entry.path] = row if lines else {**described, "type": "array", "items": dict(part.schema)}
    return {
        "$schema": DIALECT,
        "title": "Export",
        "description": "The schema of each data file, by its path: of the whole file where it ends in .json, "
        "of each line where it ends in .jsonl.",
        "$defs": files,
    }
