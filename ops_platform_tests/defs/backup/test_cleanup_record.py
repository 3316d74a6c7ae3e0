"""The op of the cleanup puts on record that it looked, also where nothing was to go, and not when it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import dagster as dg
import pytest

from ops_platform.backup.retention import cleanup
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.defs.backup.jobs import StanzaOpConfig, expire
from ops_platform.defs.resources import PlatformResource
from ops_platform.errors import CheckFailed
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

NOTHING = cleanup.CleanupPlan((), ("20260101-000000F",), ())


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
    config = StanzaOpConfig(stanza="product")
    monkeypatch.setattr(cleanup, "plan", lambda _: NOTHING)
    monkeypatch.setattr(cleanup, "apply", apply)
    with pytest.raises(dg.Failure):
        expire(dg.build_op_context(), config, platform)
    assert objects() == []
    monkeypatch.setattr(cleanup, "apply", lambda *_, **__: NOTHING)
    expire(dg.build_op_context(), config, platform)
    assert objects() == ["duty/backup_cleanup/product"]
