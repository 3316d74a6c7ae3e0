"""What a request touched is appended once a step, and adds up over attempts."""

from __future__ import annotations

import psycopg
import pytest

from ops_platform.gdpr.lineage import lineage_store as lineage
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform_tests.gdpr.requests_database import Requests

pytestmark = pytest.mark.services


def test_effects_are_read_back_as_they_were_and_add_up(table: Requests) -> None:
    request_id = table.make().request.request_id
    first = Effect("s3", "media/creators/{id}/", "objects", "delete", 5, 5, 0)
    again = Effect("s3", "media/creators/{id}/", "objects", "delete", 1, 1, 0)
    kept = Effect("postgresql", "ledger_entries", "payee", "keep", 3, 0, 3)
    for step, effects in (("objects", [first]), ("rows", [kept]), ("objects", [again]), ("cache", [])):
        lineage.record(table.worker, request_id, step, effects, run_id="run", map_version="m")
    lines = lineage.lines(table.worker, request_id)
    assert [(one.step, one.effect, one.run_id, one.map_version) for one in lines] == [
        ("objects", first, "run", "m"), ("rows", kept, "run", "m"), ("objects", again, "run", "m"),
    ]  # fmt: skip
    assert lineage.completed_steps(table.worker, request_id) == ["objects", "rows", "objects", "cache"]
    assert lineage.totals([*lines, *lines[1:2]]) == [
        Effect("s3", "media/creators/{id}/", "objects", "delete", 5, 6, 0),
        kept,
    ]


def test_nothing_is_changed_afterwards(table: Requests) -> None:
    request_id = table.make().request.request_id
    lineage.record(table.worker, request_id, "cache", [], run_id=None, map_version="m")
    with pytest.raises(psycopg.Error):
        table.worker.execute("UPDATE gdpr_lineage SET affected = 0")
