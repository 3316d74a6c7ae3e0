"""An emergency restore from a repository that somebody deleted: read as it was, from its versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ops_platform.clients.object_store import StoredObject, as_of
from ops_platform.clients.pgbackrest import abilities
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.emergency import judgement
from ops_platform.dr.emergency import restore_command as break_glass
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.restore import past_repository
from ops_platform.errors import CheckFailed, OpsError
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.services import short_directory

if TYPE_CHECKING:
    from ops_platform.local.servers.object_store_server import ObjectStoreServer

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def version(key: str, seconds: int, *, marker: bool = False) -> StoredObject:
    at = NOW + timedelta(seconds=seconds)
    return StoredObject(key, 1, at, "", f"{key}{seconds}{'m' if marker else ''}", delete_marker=marker)


@pytest.mark.parametrize(
    ("seconds", "seen"),
    [(-1, []), (0, ["a0"]), (4, ["a0"]), (5, ["a5", "b5"]), (9, ["a5"]), (12, ["a12"])],
)
def test_of_each_key_the_version_of_that_moment_is_read(seconds: int, seen: list[str]) -> None:
    versions = [
        version("a", 12),
        version("a", 5),
        version("a", 0),
        version("b", 9, marker=True),
        version("b", 5),
        version("c", 20),
    ]
    moment = NOW + timedelta(seconds=seconds)
    assert [stored.version_id for stored in as_of(versions, moment)] == seen


def test_a_deletion_in_the_second_of_the_writing_does_not_hide_the_version() -> None:
    versions = [version("a", 5, marker=True), version("a", 5), version("a", 0)]
    assert [stored.version_id for stored in as_of(versions, NOW + timedelta(seconds=5))] == ["a5"]


@pytest.fixture
def deleted(beating: Site, object_store: ObjectStoreServer) -> Iterator[datetime]:
    """The moment before everything of the stanza was deleted; the deletion is undone afterwards."""
    bucket, name = object_store.bucket("backup"), beating.name
    below = ("pgbackrest/backup", "pgbackrest/archive", "ops-platform/references")
    thief, admin = object_store.client("backup"), object_store.client("admin")
    before = datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) > before + timedelta(seconds=1.2), 5, "a second passes")
    markers = []
    for prefix in (f"{place}/{name}/" for place in below):
        for page in thief.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for stored in page.get("Contents", []):
                gone = thief.delete_object(Bucket=bucket, Key=stored["Key"])
                markers.append((stored["Key"], gone["VersionId"]))
    assert markers
    yield before
    for key, marker in markers:
        admin.delete_object(Bucket=bucket, Key=key, VersionId=marker)


@pytest.fixture
def misleading(deleted: datetime, beating: Site, object_store: ObjectStoreServer) -> Iterator[datetime]:
    """The same moment, with a key that came later and makes a folder of what is a file."""
    bucket, key = object_store.bucket("backup"), f"pgbackrest/backup/{beating.name}/backup.info/x"
    marker = object_store.client("backup").delete_object(Bucket=bucket, Key=key)["VersionId"]
    yield deleted
    object_store.client("admin").delete_object(Bucket=bucket, Key=key, VersionId=marker)


@pytest.mark.full
def test_what_was_deleted_is_restored_as_of_the_moment_before(beating: Site, deleted: datetime) -> None:
    ctx, latest, target = beating.context, RecoveryTarget.latest(), short_directory() / "data"
    now = datetime.now(UTC)
    with break_glass.open_workspace(ctx, target) as here, pytest.raises(OpsError):
        break_glass.explain(ctx, here, latest, None, now)
    too_early = past_repository.from_settings(ctx, deleted - timedelta(days=30))
    with (
        break_glass.open_workspace(ctx, target) as here,
        pytest.raises(CheckFailed, match="held no repository of stanza"),
    ):
        break_glass.explain(ctx, here, latest, None, now, repository=too_early)

    past = past_repository.from_settings(ctx, deleted)
    with break_glass.open_workspace(ctx, target) as here:
        explanation = break_glass.explain(ctx, here, latest, None, now, repository=past)
        assert any(line.startswith("repository   as it was at") for line in explanation.lines())
        assert past.obstacle == abilities.obstacle_to_reading_past(ctx.pgbackrest.version(), 1)
        assert not past.open_reader(ctx, here).reads_live
        known = judgement.knowledge(ctx, explanation, silent, deleted)
        done = break_glass.carry_out(ctx, here, known, now, silent, silent, repository=past)
    failed = {result.name: result.summary for result in done.results if result.result == "fail"}
    assert failed == {}
    assert done.rto_seconds is not None
    assert judgement.judge(done).restored
    assert not list((beating.settings.state_dir / "restores").glob("r*"))


@pytest.mark.full
def test_a_key_that_misleads_pgbackrest_does_not_hide_the_backups(
    beating: Site, misleading: datetime
) -> None:
    ctx, now = beating.context, datetime.now(UTC)
    past = past_repository.from_settings(ctx, misleading)
    with break_glass.open_workspace(ctx, short_directory() / "data") as here:
        explanation = break_glass.explain(ctx, here, RecoveryTarget.latest(), None, now, repository=past)
        assert past.obstacle is not None
        assert "; downloaded first: " in "\n".join(explanation.lines())
        assert past.open_reader(ctx, here).pgbackrest.repo_ls(f"backup/{beating.name}")
