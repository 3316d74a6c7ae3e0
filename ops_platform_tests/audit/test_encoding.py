"""The bytes that are hashed: injective, and the same whether PostgreSQL or Python spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.audit.batch import snapshot
from ops_platform.audit.encoding import encode, leaves
from ops_platform_tests.audit.rig import Rig

ROWS = st.lists(st.none() | st.text(max_size=12), min_size=13, max_size=13)
# Small alphabets find what lengths and separators could hide.
TRICKY = st.lists(st.none() | st.text("0123:,-é", max_size=5), min_size=13, max_size=13)


def decode(data: bytes) -> list[str | None]:
    """Reads netstrings back; that this exists for every row is what makes the encoding injective."""
    values: list[str | None] = []
    while data:
        if data.startswith(b"-,"):
            values.append(None)
            data = data[2:]
            continue
        length, _, rest = data.partition(b":")
        size = int(length)
        assert rest[size : size + 1] == b","
        values.append(rest[:size].decode())
        data = rest[size + 1 :]
    return values


@given(ROWS | TRICKY)
def test_every_row_can_be_read_back(row: list[str | None]) -> None:
    assert decode(encode(row)) == ["audit_event/1", *row]


@given(TRICKY, TRICKY)
def test_rows_that_differ_have_bytes_that_differ(one: list[str | None], other: list[str | None]) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@pytest.mark.services
def test_postgresql_and_python_spell_the_same_bytes(rig: Rig) -> None:
    with rig.superuser() as superuser:
        superuser.execute(
            """
            INSERT INTO audit_events (event_id, occurred_at, actor, action, phase, operation_id, object,
                                      outcome, details, commitments)
            SELECT gen_random_uuid(), moment, 'Ünïcode ' || chr(128512), 'a', 'event', 'o', '', outcome,
                   details::jsonb, '{"b": "1", "a": "2"}'
            FROM unnest(ARRAY['2026-02-03 04:05:06.789012+05', '1969-12-31 23:59:59.999999+00',
                              '0044-03-15 BC']::timestamptz[]) AS moment,
                 unnest(ARRAY['success', NULL]) AS outcome,
                 unnest(ARRAY['{}', '{"z": 1.10, "a": [1e400, null, "\\u00e9\\\\,:-"], "z": 2}']) AS details
            """
        )
    connection = rig.connect()
    connection.execute("SET timezone = 'Asia/Tokyo'")
    in_sql = {
        row["id"]: row["leaf_hash"] for row in connection.execute("SELECT id, leaf_hash FROM audit_leaves")
    }
    connection.commit()
    with snapshot(connection):
        in_python = {leaf.id: leaf.hash.hex() for leaf in leaves(connection)}
    assert len(in_sql) == 12
    assert in_python == in_sql
