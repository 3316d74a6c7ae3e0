"""What of a bucket's keys counts as files, never two in each other's way; and which pgBackRest reads them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from ops_platform.clients.object_store import StoredObject
from ops_platform.dr.restore import past_objects, past_repository
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
    assert sorted(past._as_it_was("product").files) == sorted(GENUINE)
    monkeypatch.setattr(past_repository, "needed_paths", lambda *_: [])
    past._past = past._as_it_was("product")
    assert past._past.confusing
    told = past.describe(cast(Any, None), cast(Any, None))
    assert f"1 keys are no files of a repository and were passed over: '{planted}'" in told


def test_all_that_can_be_files_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    past = past_with((f"{SET}/pg_data/base/1/..x", 20))
    assert sorted(past._as_it_was("product").files) == sorted([*GENUINE, f"{SET}/pg_data/base/1/..x"])
    monkeypatch.setattr(past_repository, "needed_paths", lambda *_: [])
    past._past = past._as_it_was("product")
    assert not past._past.confusing
    assert "passed over" not in past.describe(cast(Any, None), cast(Any, None))


def stored(path: str, second: int, *, marker: bool = False) -> StoredObject:
    return StoredObject(path, 1, NOW + timedelta(seconds=second), "", f"{second}", delete_marker=marker)


@pytest.mark.parametrize(
    "planted",
    [
        # pgBackRest sees folders of whatever time, and takes one for the file of its name.
        [stored(f"{SET}/backup.manifest/x", 90)],
        [stored(f"{SET}/backup.manifest/x", 90, marker=True)],
        [stored("backup/product//x", 90)],
        # Which of the two came last, no listing tells.
        [stored(f"{SET}/bundle/1", 30, marker=True), stored(f"{SET}/bundle/1", 30)],
    ],
)
def test_what_misleads_pgbackrest_is_found_whenever_it_came(planted: list[StoredObject]) -> None:
    moment = NOW + timedelta(seconds=60)
    genuine = [stored(path, 0) for path in GENUINE]
    assert not past_objects.read(genuine, "", moment).confusing
    past = past_objects.read([*genuine, *planted], "", moment)
    assert past.confusing
    assert past.files.keys() - {f"{SET}/bundle/1"} == set(GENUINE)


def test_a_file_that_was_deleted_later_or_replaced_misleads_nobody() -> None:
    versions = [
        stored("archive/product/x", 90, marker=True),
        stored("archive/product/x", 50),
        stored("archive/product/x", 40, marker=True),
        stored("archive/product/x", 0),
    ]
    past = past_objects.read(versions, "", NOW + timedelta(seconds=60))
    assert (past.confusing, [one.version_id for one in past.files.values()]) == (False, ["50"])


def test_the_longest_folder_is_counted_as_s3_lists_it() -> None:
    versions = [
        *(stored("backup/product/backup.info", second, marker=second > 5) for second in range(9, -1, -1)),
        *(stored(f"backup/product/set{number}/bundle/1", 0) for number in range(3)),
        *(stored(f"backup/product/backup.history/2026/{number}", 0) for number in range(99)),
    ]
    # Ten versions and markers, three sets, and the history, which no restore reads.
    assert past_objects.read(versions, "", NOW).longest_folder == 14
