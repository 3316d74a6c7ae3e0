"""The condition of a partial index is understood as PostgreSQL writes it, or not at all."""

from __future__ import annotations

import pytest

from ops_platform.gdpr.schema.index_predicate import conditions


@pytest.mark.parametrize(
    ("predicate", "read"),
    [
        ("(user_id IS NOT NULL)", {"user_id": "NOT NULL"}),
        ("(deleted_at IS NULL)", {"deleted_at": "NULL"}),
        ('("User" IS NOT NULL)', {"User": "NOT NULL"}),
        ("(kind = 'User'::text)", {"kind": "=User"}),
        ("((kind)::text = 'it''s'::text)", {"kind": "=it's"}),
        ("(state = 5)", {"state": "=5"}),
        ("active", {"active": "=true"}),
        ("(NOT active)", {"active": "=false"}),
        ("((a IS NOT NULL) AND (b IS NULL))", {"a": "NOT NULL", "b": "NULL"}),
        ("((a IS NOT NULL) AND (lower(b) = 'x'::text))", None),
        ("((a IS NOT NULL) OR (b IS NULL))", None),
        ("(a > 5)", None),
        ("(a = ANY (ARRAY[1, 2]))", None),
    ],
)
def test_conditions(predicate: str, read: dict[str, str] | None) -> None:
    assert conditions(predicate) == read
