"""What of a bucket's keys is laid out as files: never one that leads out, nor two in each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from ops_platform.clients.object_store import StoredObject
from ops_platform.dr.restore import past_repository
from ops_platform.dr.restore.past_repository import PastRepository

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SET = "backup/product/20260501-030000F"
GENUINE = [
    "archive/product/archive.info",
    "backup/product/backup.info",
    f"{SET}/backup.manifest",
    f"{SET}/pg_data/base/1/1259.gz",
]


class Bucket:
    """Versions of keys below ``pgbackrest/``, in key order, the newest of a key first."""

    def __init__(self, *written: tuple[str, int]) -> None:
        self.versions_of: dict[str, list[int]] = {}
        for path, second in written:
            self.versions_of.setdefault(f"pgbackrest/{path}", []).append(second)

    def versions(self, prefix: str) -> Iterator[StoredObject]:
        for key, seconds in sorted(self.versions_of.items()):
            for second in sorted(seconds, reverse=True) if key.startswith(prefix) else ():
                yield StoredObject(key, 1, NOW + timedelta(seconds=second), "", f"{second}")

    def uri(self, key: str = "") -> str:
        return f"s3://bucket/{key}"


def past_with(*planted: tuple[str, int]) -> PastRepository:
    rewritten = ("backup/product/backup.info", 50)
    bucket = Bucket(*((path, 0) for path in GENUINE), rewritten, *planted)
    return PastRepository(cast(Any, bucket), "pgbackrest/", NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    "planted",
    [
        "backup/product/../../../../../etc/cron.d/x",
        f"{SET}/./pg_data",
        f"{SET}//etc/x",
        "backup/product/",
        f"{SET}/pg_data/base/",
        "backup/product/backup.info/x",
        f"{SET}/backup.manifest/x",
        f"{SET}/pg_data/base",
        f"{SET}/{'x' * 256}",
    ],
)
def test_a_planted_key_is_passed_over_and_named(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    past = past_with((planted, 20))
    assert sorted(past._as_it_was("product")) == sorted(GENUINE)
    monkeypatch.setattr(past_repository, "needed_paths", lambda *_: [])
    told = past.describe(cast(Any, None), cast(Any, None))
    assert f"1 keys are no files of a repository and were passed over: '{planted}'" in told


def test_all_that_can_be_files_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    past = past_with((f"{SET}/pg_data/base/1/..x", 20))
    assert sorted(past._as_it_was("product")) == sorted([*GENUINE, f"{SET}/pg_data/base/1/..x"])
    monkeypatch.setattr(past_repository, "needed_paths", lambda *_: [])
    assert "passed over" not in past.describe(cast(Any, None), cast(Any, None))
