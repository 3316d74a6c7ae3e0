"""How long a backup waits for pgBackRest's own lock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.backup.taking import taken_set
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients import waiting
from ops_platform.clients.pgbackrest.command import LOCKED, PgBackRestError
from ops_platform.errors import Unavailable
from ops_platform_tests.backup.shapes import two_repositories

HOUR = 3600.0


@dataclass
class Busy:
    """A pgBackRest whose lock is free after ``hours``; ``now`` in seconds."""

    hours: float
    now: float = 0.0

    def backup(self, *_: object) -> str:
        if self.now < self.hours * HOUR:
            raise PgBackRestError("unable to acquire lock", LOCKED)
        return "20261122-020000F"

    def sleep(self, _: float) -> None:
        self.now += HOUR / 2


def label(ctx: BackupContext, hours: float, turn: float, monkeypatch: pytest.MonkeyPatch) -> str:
    busy = Busy(hours)
    clock = SimpleNamespace(monotonic=lambda: busy.now, sleep=busy.sleep)
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(taken_set, "time", clock)
    request = BackupRequest(ctx.stanza.name, "full", "run", "run", "dagster", turn_seconds=turn * HOUR)
    return taken_set._backup(
        replace(ctx, pgbackrest=cast(Any, busy)), request, {}, lambda _: None, lambda _: None
    )


def test_a_backup_into_the_other_repository_that_lost_its_lock_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the ops database: pgBackRest goes on, and its lock is one for both."""
    monkeypatch.setattr("os.chown", lambda *_: None)
    settings = two_repositories(tmp_path)
    offsite = open_context(settings, "product@offsite")
    assert label(offsite, 40, 48, monkeypatch)
    with pytest.raises(Unavailable, match="another pgBackRest process holds the lock"):
        label(offsite, 49, 48, monkeypatch)
    with pytest.raises(Unavailable):
        label(offsite, 2, 0, monkeypatch)  # by hand


def test_alone_nobody_needs_so_much_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)
    alone = open_context(two_repositories(tmp_path), "product")
    monkeypatch.setattr(BackupContext, "in_other_repositories", lambda _: [])
    assert label(alone, 0.5, 48, monkeypatch)
    with pytest.raises(Unavailable):
        label(alone, 2, 48, monkeypatch)
