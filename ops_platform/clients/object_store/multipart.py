"""Large objects to S3 in parts, while they are being made: constant memory, all or nothing."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from isal import isal_zlib

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.s3_errors import ObjectMissing
from ops_platform.errors import OpsError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART = 8 * 1024 * 1024
GROWS_EVERY = 1_000
"""Parts, of which S3 takes 10,000: their size grows, to 80 MiB at the end, for 440 GB in all."""
AT_ONCE = 2


class Upload:
    """An object that is being written, encrypted by the store. There is nothing before the block ends well.

    Whatever ends the block otherwise aborts it; of a process that is killed, ``abort_unfinished`` tidies up.
    """

    def __init__(self, store: ObjectStore, key: str, *, content_type: str) -> None:
        self._store, self._key, self._content_type = store, key, content_type
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._parts: list[CompletedPartTypeDef] = []
        self._waiting: deque[Future[CompletedPartTypeDef]] = deque()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload")
        self._number = 0
        self.bytes = 0
        self._id = ""

    @property
    def sha256(self) -> str:
        """Of all that was written, hex."""
        return self._digest.hexdigest()

    def __enter__(self) -> Upload:
        """Raises the store's errors."""
        with self._store.errors("write", self._key):
            self._id = self._store.client.create_multipart_upload(
                Bucket=self._store.bucket,
                Key=self._store.prefix + self._key,
                ContentType=self._content_type,
                ChecksumAlgorithm="CRC32",
                ServerSideEncryption="AES256",
            )["UploadId"]
        return self

    def write(self, data: bytes) -> None:
        """Waits while earlier parts are on their way. Raises the store's errors."""
        self._digest.update(data)
        self.bytes += len(data)
        self._buffer += data
        while len(self._buffer) >= (size := PART * (1 + self._number // GROWS_EVERY)):
            part = bytes(memoryview(self._buffer)[:size])
            del self._buffer[:size]
            self._send(part)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._abort()
            raise
        if kind is not None:
            self._abort()

    def _send(self, part: bytes) -> None:
        while len(self._waiting) >= AT_ONCE:
            self._parts.append(self._waiting.popleft().result())
        self._number += 1
        self._waiting.append(self._threads.submit(self._put, self._number, part))

    def _put(self, number: int, part: bytes) -> CompletedPartTypeDef:
        # A checksum that botocore computes goes behind the part, which it then sends in 16 KiB at a time.
        checksum = base64.b64encode(isal_zlib.crc32(part).to_bytes(4, "big")).decode()
        with self._store.errors("write", self._key):
            answer = self._store.client.upload_part(
                Bucket=self._store.bucket,
                Key=self._store.prefix + self._key,
                UploadId=self._id,
                PartNumber=number,
                Body=part,
                ChecksumCRC32=checksum,
            )
        return {"ETag": answer["ETag"], "PartNumber": number, "ChecksumCRC32": checksum}

    def _finish(self) -> None:
        if self._buffer or not self._number:
            self._send(bytes(self._buffer))
            self._buffer.clear()
        while self._waiting:
            self._parts.append(self._waiting.popleft().result())
        self._threads.shutdown()
        if len(self._parts) != self._number:
            raise AssertionError("a part was lost, and whoever wrote it went on")
        with self._store.errors("write", self._key):
            self._store.client.complete_multipart_upload(
                Bucket=self._store.bucket,
                Key=self._store.prefix + self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
            )

    def _abort(self) -> None:
        # Parts that are still on their way would be kept.
        self._threads.shutdown(cancel_futures=True)
        # What went wrong before is what is told; what cannot be aborted now is aborted later.
        with suppress(OpsError), self._store.errors("abort the upload of", self._key):
            self._store.client.abort_multipart_upload(
                Bucket=self._store.bucket, Key=self._store.prefix + self._key, UploadId=self._id
            )


@dataclass(frozen=True)
class Unfinished:
    """An upload that was begun and neither completed nor aborted; ``key`` as in the bucket."""

    key: str
    id: str
    begun_at: datetime


def unfinished(store: ObjectStore, prefix: str) -> Iterator[Unfinished]:
    """Those below ``prefix``, of the identity's own. Raises the store's errors."""
    with store.errors("list the uploads of", prefix):
        for page in store.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=store.bucket, Prefix=store.prefix + prefix
        ):
            for one in page.get("Uploads", []):
                yield Unfinished(one["Key"], one["UploadId"], one["Initiated"])


def abort_unfinished(store: ObjectStore, prefix: str, *, before: datetime | None = None) -> int:
    """Abort the uploads below ``prefix``, those begun ``before`` then; how many.

    Raises the store's errors.
    """
    found = 0
    for one in [each for each in unfinished(store, prefix) if before is None or each.begun_at < before]:
        try:
            with store.errors("abort the upload of", prefix):
                store.client.abort_multipart_upload(Bucket=store.bucket, Key=one.key, UploadId=one.id)
        except ObjectMissing:
            continue  # somebody else did
        found += 1
    return found
