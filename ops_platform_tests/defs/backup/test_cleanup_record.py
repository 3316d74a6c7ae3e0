"""The op of the cleanup puts on record that it looked, also where nothing was to go; not when it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from ops_platform.backup.retention import cleanup
from ops_platform.backup.stanza import BackupContext, load_backups
from ops_platform.clients import postgres
from ops_platform.defs.backup.jobs import cleanup_job
from ops_platform.defs.resources import PlatformResource
from ops_platform.errors import CheckFailed
from ops_platform.settings import load_settings
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

NOTHING = cleanup.CleanupPlan("product", (), ("20260101-000000F",), ())


@dataclass
class Context:
    ops_url: str


class Known(PlatformResource):
    """The platform with one ops database."""

    url: str

    def backup(self, stanza: str) -> BackupContext:
        return cast(BackupContext, Context(self.url))


def test_a_look_is_on_record_when_it_came_to_its_end(
    ops_database: OpsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(*_: Any, **__: Any) -> cleanup.CleanupPlan:
        raise CheckFailed("expire left sets that were to go: look at its log")

    def objects() -> list[str]:
        with postgres.session(ops_database.url()) as ops:
            rows = ops.execute("SELECT object FROM audit_events WHERE action = 'duty.performed'")
            return [row["object"] for row in rows.fetchall()]

    platform = Known(url=ops_database.url())
    job = cleanup_job(load_backups(load_settings({})))

    def run() -> bool:
        done = job.execute_in_process(
            run_config={"stanza": "product"}, resources={"platform": platform}, raise_on_error=False
        )
        return done.success

    monkeypatch.setattr(cleanup, "plan", lambda _: NOTHING)
    monkeypatch.setattr(cleanup, "apply", apply)
    assert not run()
    assert objects() == []
    monkeypatch.setattr(cleanup, "apply", lambda *_, **__: NOTHING)
    assert run()
    assert objects() == ["duty/backup_cleanup/product"]
