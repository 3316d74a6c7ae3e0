"""S3: one identity and its one bucket, over boto3. Backups, seals and media are not known here.

Errors of boto3 are raised as those of ``s3_errors``, one line each.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops_platform.clients.object_store.client_session import client_session
from ops_platform.clients.object_store.lifecycle import Lifecycle
from ops_platform.clients.object_store.object_lock import BucketLock, Retention
from ops_platform.clients.object_store.s3_errors import ATTEMPTS, ObjectMissing, ObjectStoreRefused, Place
from ops_platform.clients.object_store.stored_object import StoredObject
from ops_platform.errors import ConfigurationError
from ops_platform.settings import S3Identity, named_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
CHUNK = 1 << 20
DELETE_BATCH = 1000
"""The most that S3 takes in one request."""
_GONE = ("NoSuchKey", "NoSuchVersion")
_BUILDING = threading.Lock()


class ObjectStore:
    """One bucket as one identity sees it; keys are relative to the identity's prefix.

    Without an access key, boto3's own chain of credentials (instance role) is used.
    """

    def __init__(
        self,
        endpoint_url: str | None,
        region: str,
        identity: S3Identity,
        ca_file: Path | None = None,
        *,
        uri_style: str = "path",
        repository: int = 1,
    ) -> None:
        """Keep the settings; the client is built when it is first used.

        ``repository``: the number of the one whose settings messages name.

        Raises ConfigurationError when the identity has no bucket or the CA file does not exist.
        """
        if identity.bucket is None:
            name = f"OPS_S3_{identity.role.upper()}_BUCKET"
            raise ConfigurationError(f"no bucket is configured for the S3 role {identity.role}: set {name}")
        if ca_file is not None and not ca_file.is_file():
            raise ConfigurationError(
                named_for(repository, f"there is no CA file at {ca_file}: correct OPS_CA_FILE")
            )
        self.bucket = identity.bucket
        self.prefix = identity.prefix
        self.role = identity.role
        self._endpoint_url = endpoint_url
        self._region = region
        self._identity = identity
        self._ca_file = ca_file
        self._uri_style = uri_style
        self._repository = repository

    @cached_property
    def client(self) -> S3Client:
        """The plain boto3 client, for operations without a method here. Its exceptions are boto3's own."""
        # Imported with the first client: boto3 takes long to load, and the definitions open no store.
        from botocore.config import Config

        secret = self._identity.secret_access_key
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            tcp_keepalive=True,
            s3={"addressing_style": "virtual" if self._uri_style == "host" else "path"},
        )
        # A session is not safe to build clients in from several threads; the clients are safe to use.
        with _BUILDING:
            return client_session().client(
                "s3",
                endpoint_url=self._endpoint_url,
                region_name=self._region,
                aws_access_key_id=self._identity.access_key_id,
                aws_secret_access_key=secret.get_secret_value() if secret else None,
                verify=str(self._ca_file) if self._ca_file else None,
                config=config,
            )

    def uri(self, key: str = "") -> str:
        """Return ``s3://bucket/key`` for messages; without ``key``, that of the prefix."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def put(
        self,
        key: str,
        body: bytes,
        *,
        if_none_match: bool = False,
        retain_until: datetime | None = None,
        content_type: str = "application/octet-stream",
    ) -> str | None:
        """Store ``body`` and return the version id; None when the bucket keeps no versions.

        ``if_none_match`` writes only when the key is free, else raises ObjectExists.
        ``retain_until`` (aware) locks the version in COMPLIANCE mode: nobody can delete it sooner.
        """
        arguments: dict[str, Any] = {"ContentType": content_type}
        if if_none_match:
            arguments["IfNoneMatch"] = "*"
        if retain_until is not None:
            arguments["ObjectLockMode"] = "COMPLIANCE"
            arguments["ObjectLockRetainUntilDate"] = retain_until.astimezone(UTC)
        with self.errors("write", key):
            answer = self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body, **arguments)
        return answer.get("VersionId")

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """Read the whole object. Raises ObjectMissing when there is none."""
        with self.errors("read", key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, **_version(version_id))
            with answer["Body"] as body:
                return body.read()

    @contextmanager
    def reading(self, key: str, version_id: str | None = None) -> Iterator[Iterator[bytes]]:
        """Read the object in chunks of a mebibyte. Raises ObjectMissing when there is none."""
        with self.errors("read", key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, **_version(version_id))
        with closing(answer["Body"]) as body:
            yield self._chunks(key, body.iter_chunks(CHUNK))

    def _chunks(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self.errors("read", key):
            yield from chunks

    def copy_to(self, key: str, other: ObjectStore, other_key: str) -> None:
        """Let the store copy the object to a key of ``other``, with the identity of ``other``; any size."""
        with self.errors("copy", key):
            other.client.copy(
                {"Bucket": self.bucket, "Key": self.prefix + key}, other.bucket, other.prefix + other_key
            )

    def presigned(self, key: str, seconds: int, file_name: str) -> str:
        """Sign a URL that lets anybody download the object for ``seconds``, as ``file_name``.

        It expires sooner when the identity's own credentials do. No request is sent.
        """
        with self.errors("sign a link to", key):
            return self.client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": self.prefix + key,
                    "ResponseContentDisposition": f'attachment; filename="{file_name}"',
                },
                ExpiresIn=seconds,
            )

    def head(self, key: str, version_id: str | None = None) -> StoredObject | None:
        """Return size, time and ETag of an object; None when there is no such object."""
        try:
            with self.errors("read", key):
                answer = self.client.head_object(
                    Bucket=self.bucket, Key=self.prefix + key, **_version(version_id)
                )
        except ObjectMissing:
            return None
        return StoredObject(
            key,
            answer["ContentLength"],
            answer["LastModified"],
            answer["ETag"].strip('"'),
            answer.get("VersionId"),
            encryption=answer.get("ServerSideEncryption"),
        )

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[StoredObject]:
        """List the current objects below ``prefix``, after the key ``start_after``, in key order."""
        with self.errors("list", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket,
                Prefix=self.prefix + prefix,
                StartAfter=self.prefix + start_after if start_after else "",
            )
            for page in pages:
                for item in page.get("Contents", []):
                    yield StoredObject.current(self._relative(item["Key"]), item)

    def versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[StoredObject]:
        """List every version and delete marker below ``prefix``, in key order, the newest of a key first.

        Only those after the key ``start_after``, where one is given. Stores know times to the second:
        a version and a delete marker of one second may be swapped.
        """
        # boto3's types do not know that a listing may start in the middle.
        options: dict[str, Any] = {"KeyMarker": self.prefix + start_after} if start_after else {}
        with self.errors("list", prefix):
            for page in self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix, **options
            ):
                # S3 lists a page's delete markers apart from its versions.
                yield from sorted(
                    [
                        *(
                            StoredObject.version(self._relative(item["Key"]), item)
                            for item in page.get("Versions", [])
                        ),
                        *(
                            StoredObject.marker(self._relative(item["Key"]), item)
                            for item in page.get("DeleteMarkers", [])
                        ),
                    ],
                    key=lambda stored: (stored.key, not stored.is_current, -stored.modified_at.timestamp()),
                )

    def delete(self, key: str, version_id: str | None = None) -> None:
        """Remove one version; without ``version_id``, add a delete marker if the bucket keeps versions."""
        with self.errors("delete", key):
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key, **_version(version_id))

    def delete_versions(self, stored: Iterable[StoredObject]) -> int:
        """Remove these versions and delete markers for good; return their number.

        Raises ObjectStoreRefused when the store kept one, for example because of its object lock.
        """
        removed = 0
        for size, errors in self._delete_batches(stored):
            if errors:
                raise ObjectStoreRefused(
                    f"cannot delete {len(errors)} of {size} versions in {self.uri()} as {self.role}: "
                    f"the store answers {errors[0]}: they are locked, "
                    "or the identity may not delete versions",
                    errors[0],
                )
            removed += size
        return removed

    def delete_unlocked(self, stored: Iterable[StoredObject]) -> tuple[int, int]:
        """Remove these versions and delete markers for good, but for those that the store does not let go.

        Return how many are gone and how many stay, which are locked unless the identity lacks the right.
        """
        removed, kept = self.delete_with_codes(stored)
        return removed, sum(kept.values())

    def delete_with_codes(self, stored: Iterable[StoredObject]) -> tuple[int, Mapping[str, int]]:
        """Remove these versions and delete markers for good, but for those that the store does not let go.

        Return how many are gone, and how many stay for each of S3's codes.
        """
        removed, kept = 0, Counter[str]()
        for size, errors in self._delete_batches(stored):
            kept.update(errors)
            removed += size - len(errors)
        return removed, kept

    def _delete_batches(self, stored: Iterable[StoredObject]) -> Iterator[tuple[int, Sequence[str]]]:
        """Delete in batches; yield the size of each, and the codes of those that the store kept."""
        items = iter(stored)
        while batch := list(islice(items, DELETE_BATCH)):
            identifiers = [_identifier(self.prefix + item.key, item.version_id) for item in batch]
            with self.errors("delete from"):
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": identifiers, "Quiet": True}
                )
            # S3 answers 200 even when it kept some of them.
            codes = [str(error.get("Code", "an error")) for error in answer.get("Errors", [])]
            yield len(batch), [code for code in codes if code not in _GONE]

    def retention(self, key: str, version_id: str | None = None) -> Retention | None:
        """Return the object lock on a version; None when it has none."""
        try:
            with self.errors("read the lock of", key):
                answer = self.client.get_object_retention(
                    Bucket=self.bucket, Key=self.prefix + key, **_version(version_id)
                )
        except ObjectStoreRefused as error:
            if error.code in ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"):
                return None
            raise
        return Retention(answer["Retention"]["Mode"], answer["Retention"]["RetainUntilDate"])

    def object_lock_enabled(self) -> bool:
        """Return whether object lock is enabled on the bucket."""
        return self.lock().enabled

    def lock(self) -> BucketLock:
        """Return whether the bucket keeps versions, and what lock each new object gets by itself."""
        with self.errors("read the versioning of"):
            versioning = self.client.get_bucket_versioning(Bucket=self.bucket)
        status = versioning.get("Status")
        try:
            with self.errors("read the lock configuration of"):
                answer = self.client.get_object_lock_configuration(Bucket=self.bucket)
        except ObjectStoreRefused as error:
            if error.code == "ObjectLockConfigurationNotFoundError":
                return BucketLock.read(status, None)
            raise
        return BucketLock.read(status, answer["ObjectLockConfiguration"])

    def lifecycle(self) -> Lifecycle:
        """Return the bucket's own lifecycle, of which the prefixes are those of whole keys."""
        try:
            with self.errors("read the lifecycle of"):
                answer = self.client.get_bucket_lifecycle_configuration(Bucket=self.bucket)
        except ObjectStoreRefused as error:
            if error.code == "NoSuchLifecycleConfiguration":
                return Lifecycle()
            raise
        return Lifecycle.read(answer["Rules"])

    def check(self) -> None:
        """Ask the store for the bucket. Raises the store's errors when it cannot be used."""
        with self.errors("reach"):
            self.client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)

    def clock_behind(self) -> timedelta | None:
        """Measure how far the store's clock is behind ours; zero where it may be right or ahead.

        The store dates its answers to the second, and what it stored with the same clock. None when the
        answer has no date that can be read.
        """
        began = datetime.now(UTC)
        with self.errors("reach"):
            answer = self.client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
        try:
            dated = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        except (ValueError, OverflowError):
            return None
        # "-0000" says that the zone is not known; HTTP's dates are UTC.
        dated = dated if dated.tzinfo is not None else dated.replace(tzinfo=UTC)
        return max(timedelta(0), began - dated - timedelta(seconds=1))

    def errors(self, action: str, key: str = "") -> AbstractContextManager[None]:
        """Wrap a block that uses ``client``: boto3's exceptions are raised as ours.

        ``action`` is the verb of the message ("cannot <action> s3://...").
        """
        return Place(self.uri(key), self._endpoint_url, self._region, self.role, self._repository).errors(
            action, is_object=bool(key)
        )

    def _relative(self, key: str) -> str:
        return key.removeprefix(self.prefix)


def _identifier(key: str, version_id: str | None) -> ObjectIdentifierTypeDef:
    return {"Key": key} if version_id is None else {"Key": key, "VersionId": version_id}


def _version(version_id: str | None) -> dict[str, Any]:
    return {} if version_id is None else {"VersionId": version_id}
