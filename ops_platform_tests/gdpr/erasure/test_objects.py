"""The erasure of objects in a real store: versions, markers, uploads, neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops_platform.clients.object_store import multipart
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.s3_errors import ObjectStoreRefused
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map.model import DataMap, Objects
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.erasure.inventory import Inventory, ObjectPlace
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.settings import Settings
from ops_platform_tests.gdpr.other_stores import store

pytestmark = pytest.mark.services
_numbers = itertools.count(1)


def inventory_of(*prefixes: str) -> Inventory:
    return Inventory(
        "m", Identity({}), tuple(ObjectPlace("media", one, "creators/{id}/") for one in prefixes), ()
    )


@pytest.fixture(params=["versioned", "unversioned"])
def bucket(request: pytest.FixtureRequest, object_store: ObjectStoreServer) -> ObjectStore:
    admin = store(object_store, "admin")
    name = f"gdpr-objects-{next(_numbers)}"
    admin.client.create_bucket(Bucket=name)
    if request.param == "versioned":
        admin.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return store(object_store, "admin", bucket=name)


def everything(bucket: ObjectStore) -> list[str]:
    return sorted({one.key for one in bucket.versions()} | {one.key for one in bucket.list()})


def begin_upload(bucket: ObjectStore, key: str) -> None:
    begun = bucket.client.create_multipart_upload(Bucket=bucket.bucket, Key=bucket.prefix + key)
    bucket.client.upload_part(
        Bucket=bucket.bucket,
        Key=bucket.prefix + key,
        UploadId=begun["UploadId"],
        PartNumber=1,
        Body=b"x" * (5 << 20),
    )


def test_every_version_marker_and_upload_goes_and_no_neighbours(bucket: ObjectStore) -> None:
    for key in ("creators/1/a", "creators/1/a", "creators/1/b", "creators/1/deep/ü ?&", "creators/1/gone"):
        bucket.put(key, b"x")
    bucket.delete("creators/1/gone")
    others = ["creators/10/a", "creators/1", "creators/11", "avatars/1/a"]
    for key in others:
        bucket.put(key, b"x")
    begin_upload(bucket, "creators/1/film")
    begin_upload(bucket, "creators/10/film")
    [left] = object_erasure.remaining({"media": bucket}, inventory_of("creators/1/"))
    [done] = object_erasure.erase({"media": bucket}, inventory_of("creators/1/"))
    assert (done.store, done.place, done.action) == ("s3", "media/creators/{id}/", "delete")
    assert done.before == done.changed == left.after >= 4
    assert done.after == 0
    assert everything(bucket) == sorted(others)
    assert [one.key for one in multipart.unfinished(bucket, "")] == [f"{bucket.prefix}creators/10/film"]
    assert object_erasure.remaining({"media": bucket}, inventory_of("creators/1/")) == []


def test_below_a_name_that_somebody_else_has_now_only_what_is_older_goes(bucket: ObjectStore) -> None:
    for key in ("creators/anna/a", "creators/anna/b"):
        bucket.put(key, b"the subject's")
    begin_upload(bucket, "creators/anna/old")
    until = datetime.now(UTC) + timedelta(seconds=1)  # a store may know no fractions
    wait_until(lambda: datetime.now(UTC) > until + timedelta(seconds=1), 30, "the clock goes on")
    bucket.put("creators/anna/a", b"the other's")
    bucket.put("creators/anna/c", b"the other's")
    begin_upload(bucket, "creators/anna/new")
    place = replace(inventory_of("creators/anna/").objects[0], until=until)
    taken = replace(inventory_of(), objects=(place,))
    before = object_erasure.remaining({"media": bucket}, taken)
    [done] = object_erasure.erase({"media": bucket}, taken)
    assert [one.after for one in before] == [done.changed]
    assert done.changed in (2, 3), "a bucket without versions keeps nothing of what was written over"
    assert object_erasure.remaining({"media": bucket}, taken) == []
    assert everything(bucket) == ["creators/anna/a", "creators/anna/c"]
    assert bucket.get("creators/anna/a") == b"the other's"
    assert [one.key for one in multipart.unfinished(bucket, "")] == [f"{bucket.prefix}creators/anna/new"]


def test_a_retry_finds_nothing_and_says_so(bucket: ObjectStore) -> None:
    bucket.put("creators/1/a", b"x")
    object_erasure.erase({"media": bucket}, inventory_of("creators/1/"))
    assert object_erasure.erase({"media": bucket}, inventory_of("creators/1/")) == [
        Effect("s3", "media/creators/{id}/", "owner", "delete", 0, 0, 0)
    ]


def test_places_of_one_line_of_the_map_are_one_effect(bucket: ObjectStore) -> None:
    bucket.put("creators/1/a", b"x")
    bucket.put("creators/2/a", b"x")
    [done] = object_erasure.erase({"media": bucket}, inventory_of("creators/1/", "creators/2/"))
    assert (done.before, done.changed) == (2, 2)


@pytest.mark.full
def test_more_than_one_request_takes_at_once(object_store: ObjectStoreServer) -> None:
    media = store(object_store, "media")
    for number in range(1005):
        media.put(f"creators/1/{number}", b"")
    seen: list[int] = []
    [done] = object_erasure.erase(
        {"media": media}, inventory_of("creators/1/"), lambda place, count: seen.append(count)
    )
    assert done.changed == 1005
    assert seen[-1] == 1005
    assert everything(media) == []


def test_a_version_under_lock_fails_the_erasure_and_names_no_key(object_store: ObjectStoreServer) -> None:
    locked = store(object_store, "ledger")
    locked.put("creators/secret/a", b"x", retain_until=datetime.now(UTC) + timedelta(minutes=5))
    with pytest.raises(ObjectStoreRefused) as refused:
        object_erasure.erase({"media": locked}, inventory_of("creators/secret/"))
    assert "secret" not in str(refused.value)
    [left] = object_erasure.remaining({"media": locked}, inventory_of("creators/secret/"))
    assert left.after == 1


class Rewriting(ObjectStore):
    """Somebody writes a new object after each deletion, ``times`` times."""

    times = 0

    def delete_versions(self, stored: Any) -> int:
        removed = super().delete_versions(stored)
        if removed and self.times:
            self.times -= 1
            self.put("creators/1/again", b"x")
        return removed


@pytest.fixture
def rewriting(object_store: ObjectStoreServer) -> Callable[[int], Rewriting]:
    def make(times: int) -> Rewriting:
        media = store(object_store, "media")
        made = Rewriting(media._endpoint_url, media._region, media._identity, media._ca_file)
        made.times = times
        made.put("creators/1/a", b"x")
        return made

    return make


def test_what_is_written_meanwhile_goes_too(rewriting: Callable[[int], Rewriting]) -> None:
    media = rewriting(3)
    [done] = object_erasure.erase({"media": media}, inventory_of("creators/1/"))
    assert done.changed >= 4
    assert everything(media) == []


def test_who_keeps_writing_is_told_of(rewriting: Callable[[int], Rewriting]) -> None:
    with pytest.raises(CheckFailed, match="stop what writes them"):
        object_erasure.erase({"media": rewriting(10_000)}, inventory_of("creators/1/"))


@pytest.mark.parametrize("prefix", ["", "/", "creators/1"])
def test_a_prefix_that_is_no_folder_is_a_bug(object_store: ObjectStoreServer, prefix: str) -> None:
    with pytest.raises(AssertionError):
        object_erasure.erase_below(store(object_store, "media"), prefix, "media")


def test_buckets_of_the_map_are_roles_or_names(
    settings_for: Callable[..., Settings], object_store: ObjectStoreServer, demo_map: DataMap
) -> None:
    settings = settings_for()

    def named(bucket: str) -> DataMap:
        changed = dict(vars(demo_map)) | {"objects": (Objects(bucket, "x/{id}/", "", False),)}
        return DataMap(**changed)

    real = object_store.bucket("media")
    assert object_erasure.stores(settings, named("media"))["media"].bucket == real
    assert object_erasure.stores(settings, named(real))[real].role == "media"
    with pytest.raises(ConfigurationError, match="no S3 role"):
        object_erasure.stores(settings, named("strangers"))
    with pytest.raises(ConfigurationError, match="no longer"):
        object_erasure.erase({}, inventory_of("creators/1/"))
