"""Upload of large objects to S3 in parts, while they are being made: constant memory, all or nothing."""

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
"""Bytes of the first parts."""
GROWS_EVERY = 1_000
"""Parts after which their size grows by PART. S3 takes 10,000 parts: the last have 80 MiB, 440 GB in all."""
PARALLEL_PARTS = 2


class Upload:
    """An object that is being written, encrypted by the store; it appears when the block ends well.

    An exception in the block aborts the upload; after a process was killed, ``abort_unfinished`` cleans up.
    """

    def __init__(self, store: ObjectStore, key: str, *, content_type: str) -> None:
        self._store, self._key, self._content_type = store, key, content_type
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._parts: list[CompletedPartTypeDef] = []
        self._waiting: deque[Future[CompletedPartTypeDef]] = deque()
        self._threads = ThreadPoolExecutor(PARALLEL_PARTS, thread_name_prefix="upload")
        self._number = 0
        self.bytes = 0
        self._id = ""

    @property
    def sha256(self) -> str:
        """SHA-256 of everything written so far, in hex."""
        return self._digest.hexdigest()

    def __enter__(self) -> Upload:
        """Begin the upload. Raises the store's errors."""
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
        """Append ``data``; wait while PARALLEL_PARTS parts are being sent. Raises the store's errors."""
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
        while len(self._waiting) >= PARALLEL_PARTS:
            self._parts.append(self._waiting.popleft().result())
        self._number += 1
        self._waiting.append(self._threads.submit(self._put, self._number, part))

    def _put(self, number: int, part: bytes) -> CompletedPartTypeDef:
        # With a checksum of its own, botocore appends it as a trailer and sends the part in chunks of 16 KiB.
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
            raise AssertionError("a part failed, and its writer went on")
        with self._store.errors("write", self._key):
            self._store.client.complete_multipart_upload(
                Bucket=self._store.bucket,
                Key=self._store.prefix + self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
            )

    def _abort(self) -> None:
        # The store would keep parts that arrive after the abort.
        self._threads.shutdown(cancel_futures=True)
        # The earlier error is the one to report; ``abort_unfinished`` can abort the upload later.
        with suppress(OpsError), self._store.errors("abort the upload of", self._key):
            self._store.client.abort_multipart_upload(
                Bucket=self._store.bucket, Key=self._store.prefix + self._key, UploadId=self._id
            )


@dataclass(frozen=True)
class Unfinished:
    """An upload that was begun and neither completed nor aborted; ``key`` includes the identity's prefix."""

    key: str
    id: str
    begun_at: datetime


def unfinished(store: ObjectStore, prefix: str) -> Iterator[Unfinished]:
    """List the unfinished uploads below ``prefix``, relative to the identity's. Raises the store's errors."""
    with store.errors("list the uploads of", prefix):
        for page in store.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=store.bucket, Prefix=store.prefix + prefix
        ):
            for upload in page.get("Uploads", []):
                yield Unfinished(upload["Key"], upload["UploadId"], upload["Initiated"])


def abort_unfinished(store: ObjectStore, prefix: str, *, before: datetime | None = None) -> int:
    """Abort the uploads below ``prefix`` that were begun before ``before`` (None: all); return their number.

    Raises the store's errors.
    """
    aborted = 0
    uploads = [upload for upload in unfinished(store, prefix) if before is None or upload.begun_at < before]
    for upload in uploads:
        try:
            with store.errors("abort the upload of", prefix):
                store.client.abort_multipart_upload(Bucket=store.bucket, Key=upload.key, UploadId=upload.id)
        except ObjectMissing:
            continue  # somebody else aborted it
        aborted += 1
    return aborted
