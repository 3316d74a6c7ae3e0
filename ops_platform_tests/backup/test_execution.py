"""Backups on real services: taken, verified, recorded; adopted by replays; serialised."""

from __future__ import annotations

from typing import Any

import pytest

from ops_platform.backup import execution
from ops_platform.backup.repository import Repository
from ops_platform.clients import postgres
from ops_platform_tests.backup.conftest import Site

pytestmark = pytest.mark.services


def silent(_: object) -> None:
    """Neither lines nor progress."""


def rows(site: Site, run_id: str) -> list[dict[str, Any]]:
    with postgres.session(site.context.ops_url) as connection:
        return connection.execute("SELECT * FROM backup_reports WHERE run_id = %s", (run_id,)).fetchall()


def test_a_backup_is_recorded_as_it_is_in_the_repository(site: Site) -> None:
    lines: list[str] = []
    request = site.request("incremental")
    report = execution.run_backup(site.context, request, lines.append, silent)
    (row,) = rows(site, request.run_id)
    print(row)
    print("\n".join(lines))
    assert row["status"] == "completed"
