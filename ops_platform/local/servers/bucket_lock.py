"""The lock on a bucket of SeaweedFS: versions, a default term, and the policy that keeps both."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PRINCIPAL = "arn:aws:iam::000000000000:user/{0}"
# SeaweedFS counts these as plain writing, unless the bucket's policy denies them by name.
_BUCKET_CHANGES = (
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketCors",
    "s3:DeleteBucketCors",
    "s3:PutBucketAcl",
    "s3:DeleteBucket",
)
_LOCK_CHANGES = ("s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention")


def lock(admin: S3Client, bucket: str, days: int) -> None:
    """Give the bucket versions, a default lock, and the policy that keeps identities from either."""
    if admin.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        admin.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    enabled: Any = {"ObjectLockEnabled": "Enabled"}
    ruled = enabled | {"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}}}
    is_new = not _has_default_lock(admin, bucket)
    if is_new:
        admin.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=enabled)
        # Before the rule, which says that this is done: it may be killed in between.
        _lock_stored(admin, bucket, days)
    admin.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=ruled)
    if is_new:
        _lock_stored(admin, bucket, days)  # what was archived meanwhile
    writer, pruner = _PRINCIPAL.format("backup"), _PRINCIPAL.format("backup_pruner")
    place = f"arn:aws:s3:::{bucket}"
    denials = (
        ([writer, pruner], _BUCKET_CHANGES, place),
        ([writer, pruner], _LOCK_CHANGES, f"{place}/*"),
        ([writer], ("s3:DeleteObjectVersion",), f"{place}/*"),
        ([pruner], ("s3:PutObject", "s3:DeleteObject"), f"{place}/*"),
    )
    statements = [
        {"Effect": "Deny", "Principal": {"AWS": who}, "Action": list(actions), "Resource": where}
        for who, actions, where in denials
    ]
    admin.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements})
    )


def _has_default_lock(admin: S3Client, bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        answer = admin.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ObjectLockConfigurationNotFoundError":
            return False
        raise
    return "Rule" in answer["ObjectLockConfiguration"]


def _lock_stored(admin: S3Client, bucket: str, days: int) -> None:
    """Lock what was stored before the bucket locked it, as if it had been locked then."""
    now = datetime.now(UTC)
    for page in admin.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for stored in page.get("Contents", []):
            at: Any = {"Bucket": bucket, "Key": stored["Key"]}
            until = stored["LastModified"] + timedelta(days=days)
            if until > now and "ObjectLockMode" not in admin.head_object(**at):
                admin.put_object_retention(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
