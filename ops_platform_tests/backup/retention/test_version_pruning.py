"""Old versions go when their margin and their lock are over, and nothing else goes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from ops_platform.audit import ledger
from ops_platform.backup.monitoring import observe
from ops_platform.backup.retention import version_pruning
from ops_platform.backup.retention.version_pruning import removable
from ops_platform.backup.stanza.context import BackupContext
from ops_platform.backup.stanza.model import Repository
from ops_platform.clients import object_store
from ops_platform.clients.object_store import StoredObject
from ops_platform.clients.object_store.lifecycle import Lifecycle
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.site import Site, silent

if TYPE_CHECKING:
    from ops_platform.local.servers.object_store_server import ObjectStoreServer

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MARGIN, LOCKED = timedelta(days=7), timedelta(days=49)


def version(days: float, *, marker: bool = False, current: bool = False) -> StoredObject:
    """One version of a key, written ``days`` before NOW."""
    written = NOW - timedelta(days=days)
    return StoredObject("key", 1, written, "", f"v{days}", delete_marker=marker, is_current=current)


@pytest.mark.parametrize(
    ("newest_first", "gone"),
    [
        ([version(400, current=True)], []),
        ([version(10, current=True), version(60)], ["v60"]),
        ([version(6, current=True), version(60)], []),
        ([version(10, current=True), version(48)], []),
        ([version(10, current=True), version(48), version(50), version(60)], ["v50", "v60"]),
        # The marker stays until nothing can come back from below it.
        ([version(10, marker=True, current=True), version(60)], ["v60"]),
        ([version(10, marker=True, current=True), version(48)], []),
        ([version(10, marker=True, current=True)], ["v10"]),
        ([version(6, marker=True, current=True)], []),
        ([version(10, current=True), version(11, marker=True), version(48)], ["v11"]),
    ],
)
def test_a_version_goes_when_its_margin_and_its_lock_are_over(
    newest_first: list[StoredObject], gone: list[str]
) -> None:
    assert [stored.version_id for stored in removable(newest_first, NOW, MARGIN, LOCKED)] == gone


def rule(**changes: Any) -> Any:
    return {
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
        **changes,
    }


@pytest.mark.parametrize(
    ("rules", "days"),
    [
        ([], None),
        ([rule()], 9),
        ([rule(), rule(NoncurrentVersionExpiration={"NoncurrentDays": 3})], 3),
        ([rule(Status="Disabled")], None),
        ([rule(Filter={"Prefix": "some/"})], None),
        ([rule(NoncurrentVersionExpiration={})], None),
    ],
)
def test_a_lifecycle_rule_counts_when_it_is_for_every_key(rules: list[Any], days: int | None) -> None:
    assert Lifecycle.read(rules).noncurrent_days == days


ONE_DAY: Any = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
BELOW = "pgbackrest/backup/product/"


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ([], "nothing removes old versions from the bucket"),
        ([rule()], None),
        ([rule(**ONE_DAY)], "after 1 days, before lock_margin_days"),
        ([rule(), rule(Filter={"Prefix": "pgbackrest/"}, **ONE_DAY)], "after 1 days"),
        ([rule(), rule(Filter={"Prefix": f"{BELOW}2026"}, **ONE_DAY)], f"below {BELOW} after 1 days"),
        ([rule(), rule(Prefix=BELOW, **ONE_DAY)], "after 1 days"),
        ([rule(), rule(Filter={"And": {"Prefix": BELOW, "Tags": []}}, **ONE_DAY)], "after 1 days"),
        ([rule(), rule(Filter={"Tag": {"Key": "k", "Value": "v"}}, **ONE_DAY)], "after 1 days"),
        ([rule(), rule(Filter={"Prefix": "another/"}, **ONE_DAY)], None),
        ([rule(), rule(Filter={"Prefix": "pgbackrest/"}, Status="Disabled", **ONE_DAY)], None),
        ([rule(Expiration={"Days": 90})], f"expires current objects below {BELOW}"),
        ([rule(), rule(Filter={"Prefix": "pgbackrest/"}, Expiration={"Date": NOW})], "expires current"),
        ([rule(Expiration={"ExpiredObjectDeleteMarker": True})], None),
    ],
)
def test_a_lifecycle_that_harms_the_stanza_is_refused(
    rules: list[Any], fault: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Stores(Lifecycle.read(rules))
    monkeypatch.setattr(object_store, "from_settings", lambda settings, role: here)
    expected = nullcontext() if fault is None else pytest.raises(CheckFailed, match=fault)
    with expected:
        pruned = version_pruning.prune(here.context(drill=None), NOW, operation_id="o", log=silent)
        assert pruned.by_lifecycle


@dataclass
class Stores:
    """A bucket with this lifecycle, without the identity that prunes; ``left`` lies in the drill bucket."""

    rules: Lifecycle
    left: tuple[StoredObject, ...] = ()
    bucket: str = "bucket"
    deleted: list[str] = field(default_factory=list)

    def lifecycle(self) -> Lifecycle:
        return self.rules

    def list(self, prefix: str) -> tuple[StoredObject, ...]:
        assert prefix == "product/"
        return self.left

    def delete(self, key: str) -> None:
        self.deleted.append(key)

    def uri(self) -> str:
        return f"s3://{self.bucket}/"

    def context(self, drill: str | None) -> BackupContext:
        s3 = SimpleNamespace(drill_bucket=drill, identity=lambda role: SimpleNamespace(access_key_id=None))
        ctx = SimpleNamespace(
            settings=SimpleNamespace(s3=s3),
            stanza=SimpleNamespace(name="product", cluster="product", repository=1),
            config=SimpleNamespace(repository=Repository("bucket", "/pgbackrest", "", 7)),
            ops_url="",
        )
        return cast(BackupContext, ctx)


def test_under_a_lifecycle_rule_what_a_killed_exercise_left_is_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, young = replace(version(2.1), key="product/run/a"), replace(version(1.9), key="product/run/b")
    backups, drill = Stores(Lifecycle.read([rule()])), Stores(Lifecycle(), (old, young))
    monkeypatch.setattr(object_store, "from_settings", lambda settings, role: backups)
    monkeypatch.setattr(object_store, "drill_from_settings", lambda settings, role: drill)
    monkeypatch.setattr(ledger, "operation", lambda *_, **__: nullcontext())
    ctx = backups.context(drill="drill")
    with pytest.raises(CheckFailed, match="nothing removes old versions from the drill bucket"):
        version_pruning.prune(ctx, NOW, operation_id="o", log=silent)
    drill.rules = backups.rules
    assert version_pruning.prune(ctx, NOW, operation_id="o", log=silent).by_lifecycle
    assert drill.deleted == ["product/run/a"]


@pytest.mark.services
def test_the_store_keeps_what_is_locked_and_lets_the_rest_go(
    backed_up: Site, object_store: ObjectStoreServer
) -> None:
    ctx, bucket = backed_up.context, object_store.bucket("backup")
    key, admin = f"pgbackrest/backup/{backed_up.name}/probe", object_store.client("admin")
    soon = datetime.now(UTC) + timedelta(seconds=2)
    old = admin.put_object(
        Bucket=bucket, Key=key, Body=b"old", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon
    )["VersionId"]
    new = admin.put_object(Bucket=bucket, Key=key, Body=b"new")["VersionId"]
    locked = admin.put_object(Bucket=bucket, Key=key, Body=b"newest")["VersionId"]
    run, later = str(uuid4()), datetime.now(UTC) + timedelta(days=60)

    assert version_pruning.prune(ctx, datetime.now(UTC), operation_id=str(uuid4()), log=silent).removed == 0
    while datetime.now(UTC) <= soon:
        pass
    pruned = version_pruning.prune(ctx, later, operation_id=run, log=silent)

    assert pruned.removed >= 1
    assert pruned.kept >= 1
    listed = admin.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert [stored["VersionId"] for stored in listed] == [locked, new]
    assert old not in (locked, new)
    assert backed_up.audit(run) == [("intent", None), ("outcome", "success")]
    kept = version_pruning.oldest_set_kept(ctx)
    assert kept is not None
    assert kept <= backed_up.repository().sets[0].started_at


@pytest.mark.services
def test_nothing_goes_while_old_versions_may_be_all_that_is_left(
    backed_up: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = replace(observe(backed_up.context), best=None)
    monkeypatch.setattr(version_pruning, "observe", lambda ctx, **_: seen)
    with pytest.raises(CheckFailed, match="old versions may be all that is left"):
        version_pruning.prune(backed_up.context, NOW, operation_id=str(uuid4()), log=silent)


@pytest.mark.services
def test_without_an_identity_a_lifecycle_rule_must_do_it(
    backed_up: Site, object_store: ObjectStoreServer
) -> None:
    ctx = _without_pruner(backed_up.context)
    admin = object_store.client("admin")
    buckets = object_store.bucket("backup"), object_store.buckets["drill"]

    with pytest.raises(CheckFailed, match="nothing removes old versions from the bucket"):
        version_pruning.prune(ctx, NOW, operation_id=str(uuid4()), log=silent)
    try:
        for days, refused in ((3, True), (7, False)):
            configuration: Any = {
                "Rules": [
                    {
                        "ID": "all",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
                    }
                ]
            }
            for bucket in buckets:
                admin.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=configuration)
            if refused:
                with pytest.raises(CheckFailed, match="after 3 days, before lock_margin_days"):
                    version_pruning.prune(ctx, NOW, operation_id=str(uuid4()), log=silent)
            else:
                assert version_pruning.prune(ctx, NOW, operation_id=str(uuid4()), log=silent).by_lifecycle
    finally:
        for bucket in buckets:
            admin.delete_bucket_lifecycle(Bucket=bucket)


def _without_pruner(ctx: BackupContext) -> BackupContext:
    s3 = ctx.settings.s3
    identity = s3.identity("backup_pruner").model_copy(update={"access_key_id": None})
    identities = {**s3.identities, "backup_pruner": identity}
    settings = ctx.settings.model_copy(update={"s3": s3.model_copy(update={"identities": identities})})
    return replace(ctx, settings=settings)
