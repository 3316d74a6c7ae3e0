"""Look-ups among the requests of years: by an index, as the planner chooses with as many rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import processor_notices as processors
from ops_platform.gdpr.requests import work_queue as work
from ops_platform.gdpr.tombstones import tombstone_store as tombstones
from ops_platform_tests.gdpr.requests_database import T0, Requests

pytestmark = pytest.mark.services


@pytest.fixture
def crowded(table: Requests) -> Requests:
    """Ten thousand erasures that are over, and an export that waits."""
    with table.database.superuser() as superuser:
        superuser.execute(
            "INSERT INTO mail_outbox (dedup_key, sent_at) "
            "SELECT 'gdpr-processor:' || gen_random_uuid() || ':Newsletter service:1', now() "
            "FROM generate_series(1, 10000)"
        )
        superuser.execute(
            "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, erased_at, "
            "completed_at, gdpr_request_id) SELECT 'product', 'creator', gen_random_uuid(), 'uuid', now(), "
            "now(), gen_random_uuid() FROM generate_series(1, 10000)"
        )
    export = table.make(request_type="export").request.request_id
    table.verify(export, table.token(export))
    with table.database.superuser() as superuser:
        superuser.execute("ANALYZE mail_outbox, erasure_tombstones, gdpr_requests")
    return table


@pytest.mark.parametrize(
    ("name", "column", "look_up"),
    [
        ("mail_outbox", "dedup_key", lambda ops, data_map: processors.effects(ops, data_map, "r1")),
        ("erasure_tombstones", "gdpr_request_id", lambda ops, _: tombstones.of_request(ops, "r1")),
        (
            "erasure_tombstones",
            "subject_key",
            lambda ops, _: work.due(ops, "export", T0 + timedelta(hours=1)),
        ),
    ],
    ids=["letters", "request", "due"],
)
def test_a_look_up_goes_by_an_index_that_begins_with_what_is_looked_for(
    crowded: Requests,
    demo_map: DataMap,
    name: str,
    column: str,
    look_up: Callable[[Connection, DataMap], object],
) -> None:
    ops = crowded.worker
    with ops.transaction():
        look_up(ops, demo_map)
        read = ops.execute(
            "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = %s",
            (name,),
        ).fetchall()
        used = ops.execute(
            "SELECT a.attname FROM pg_index AS i "
            "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
            "WHERE i.indrelid = CAST(%s AS regclass) AND pg_stat_get_xact_numscans(i.indexrelid) > 0",
            (name,),
        ).fetchall()
    assert read[0]["rows"] < 10
    assert [row["attname"] for row in used] == [column]
