"""Columns that look like a pair of a type and an id, as frameworks name them, and those that do not."""

from __future__ import annotations

import pytest

from ops_platform.gdpr.map_check.type_pairs import type_of
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import column, relation


@pytest.mark.parametrize(
    ("name", "beside", "pair"),
    [
        ("record_id", "record_type", "record_type"),
        ("commentableId", "commentableType", "commentableType"),
        ("object_id", "content_type_id", "content_type_id"),
        ("object_id", "object_class", "object_class"),
        ("owner_uuid", "owner_type", "owner_type"),
        # Single-table inheritance: the type is one of the row itself.
        ("id", "type", None),
        ("user_id", "type", None),
        ("user_id", "record_type", None),
        ("record", "record_type", None),
    ],
)
def test_pairs(name: str, beside: str, pair: str | None) -> None:
    table = relation(Name("public", "t"), column(name), column(beside, "text"))
    assert type_of(table, name) == pair
