"""The embedded store's lock on the repository: what each identity gets when it tries to get around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import load_backups
from ops_platform.local.servers import bucket_lock
from ops_platform.local.servers.object_store_server import DRILL, ObjectStoreServer
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.services

KEY = "lock-test/object"
ALL = {"Rules": [{"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}


def attempts(client: S3Client, bucket: str, version: str) -> dict[str, Callable[[], Any]]:
    """What would free the version or the bucket of its lock."""
    until = datetime.now(UTC) + timedelta(seconds=5)
    soon = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    at: dict[str, Any] = {"Bucket": bucket, "Key": KEY, "VersionId": version}
    put: Any = client
    return {
        "delete": lambda: client.delete_object(**at),
        "bypass": lambda: client.delete_object(**at, BypassGovernanceRetention=True),
        "shorten": lambda: put.put_object_retention(**at, Retention=soon),
        "hold": lambda: put.put_object_legal_hold(**at, LegalHold={"Status": "OFF"}),
        "no default": lambda: put.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        ),
        "suspend": lambda: put.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        "lifecycle": lambda: put.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration=ALL
        ),
        "no lifecycle": lambda: client.delete_bucket_lifecycle(Bucket=bucket),
        "policy": lambda: client.put_bucket_policy(Bucket=bucket, Policy='{"Statement": []}'),
        "no policy": lambda: client.delete_bucket_policy(Bucket=bucket),
        "short lock": lambda: client.put_object(
            Bucket=bucket,
            Key="lock-test/short",
            ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=until,
        ),
        "bucket": lambda: client.delete_bucket(Bucket=bucket),
    }


def answer(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


@pytest.mark.parametrize("role", ["backup", "backup_pruner"])
@pytest.mark.parametrize("place", ["backup", DRILL])
def test_no_identity_frees_what_is_locked(object_store: ObjectStoreServer, role: str, place: str) -> None:
    bucket = object_store.buckets[place]
    version = object_store.client("backup").put_object(Bucket=bucket, Key=KEY, Body=b"kept")["VersionId"]

    client = object_store.client(role)
    answers = {name: answer(attempt) for name, attempt in attempts(client, bucket, version).items()}

    assert answers == dict.fromkeys(answers, "AccessDenied")
    batch = client.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": KEY, "VersionId": version}], "Quiet": True}
    )
    assert [error["Code"] for error in batch["Errors"]] == ["AccessDenied"]
    reader = object_store.client("backup_reader")
    stored = reader.get_object(Bucket=bucket, Key=KEY, VersionId=version)
    assert (stored["Body"].read(), stored["ObjectLockMode"]) == (b"kept", "COMPLIANCE")


def test_a_deletion_is_a_marker_and_the_pruner_cannot_even_write_one(object_store: ObjectStoreServer) -> None:
    bucket, key = object_store.bucket("backup"), "lock-test/marked"
    writer, pruner = object_store.client("backup"), object_store.client("backup_pruner")
    first = writer.put_object(Bucket=bucket, Key=key, Body=b"first")["VersionId"]

    assert answer(lambda: pruner.put_object(Bucket=bucket, Key=key, Body=b"mine")) == "AccessDenied"
    assert answer(lambda: pruner.delete_object(Bucket=bucket, Key=key)) == "AccessDenied"
    writer.put_object(Bucket=bucket, Key=key, Body=b"junk")
    assert writer.delete_object(Bucket=bucket, Key=key)["DeleteMarker"]

    assert answer(lambda: writer.get_object(Bucket=bucket, Key=key)) == "NoSuchKey"
    assert writer.get_object(Bucket=bucket, Key=key, VersionId=first)["Body"].read() == b"first"


def test_a_bucket_of_an_earlier_installation_is_locked_when_the_stack_comes_up(
    object_store: ObjectStoreServer,
) -> None:
    admin, bucket = object_store.client("admin"), "ops-of-yesterday"
    admin.create_bucket(Bucket=bucket)
    admin.put_object(Bucket=bucket, Key=KEY, Body=b"old")

    for _ in range(2):
        bucket_lock.lock(admin, bucket, 3)

    default = admin.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]["Rule"]
    assert default["DefaultRetention"] == {"Mode": "COMPLIANCE", "Days": 3}
    assert admin.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"old"
    # What was stored before is locked, too: nothing rewrites the index of an archive.
    stored = admin.head_object(Bucket=bucket, Key=KEY)
    assert stored["ObjectLockMode"] == "COMPLIANCE"
    # The term is counted from before the object is written again: a second may change between the two.
    term = stored["ObjectLockRetainUntilDate"] - stored["LastModified"]
    assert timedelta(days=3) - timedelta(minutes=1) < term <= timedelta(days=3)


def test_the_default_term_is_that_of_the_default_configuration(object_store: ObjectStoreServer) -> None:
    backups = load_backups(load_settings({}))
    needed = set_lifetime.lock_days(backups.stanzas.values(), backups.repository)
    assert object_store.lock_days == needed
