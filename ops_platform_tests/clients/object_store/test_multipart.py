"""Uploads in parts: all or nothing, encrypted, and nothing left of what was given up."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from isal import isal_zlib

from ops_platform.clients import object_store
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.multipart import PART, Upload, abort_unfinished
from ops_platform.clients.object_store.s3_errors import ObjectMissing
from ops_platform.errors import OpsError
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.settings import load_settings

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def store(object_store: ObjectStoreServer) -> ObjectStore:
    return exports_store(object_store)


def exports_store(server: ObjectStoreServer, **environ: str) -> ObjectStore:
    values = {**server.settings_environment(), "OPS_CA_FILE": str(server.ca_file), **environ}
    return object_store.from_settings(load_settings(values), "exports")


def unfinished(store: ObjectStore, prefix: str) -> list[str]:
    answer = store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=store.prefix + prefix)
    return [one["Key"] for one in answer.get("Uploads", [])]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 4 * PART + 12345])
def test_it_stores_what_was_written(store: ObjectStore, size: int) -> None:
    data = os.urandom(size)
    with Upload(store, "parts/whole", content_type="application/zip") as upload:
        for at in range(0, size, 777_777):
            upload.write(data[at : at + 777_777])
    assert store.get("parts/whole") == data
    assert (upload.bytes, upload.sha256) == (size, hashlib.sha256(data).hexdigest())
    head = store.head("parts/whole")
    assert head is not None
    assert head.encryption == "AES256"
    assert unfinished(store, "parts/") == []
    # Of the checksums of the parts, which S3 has compared with what arrived.
    answer = store.client.head_object(
        Bucket=store.bucket, Key=store.prefix + "parts/whole", ChecksumMode="ENABLED"
    )
    assert answer["ChecksumCRC32"].endswith(f"-{max(1, -(-size // PART))}")


def test_a_part_that_arrives_otherwise_than_it_left_is_refused(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isal_zlib, "crc32", lambda data: zlib.crc32(data) ^ 1)
    with pytest.raises(OpsError), Upload(store, "damaged/x", content_type="a/b") as upload:
        upload.write(os.urandom(1000))
    assert store.head("damaged/x") is None
    assert unfinished(store, "damaged/") == []


def test_what_ends_otherwise_leaves_nothing(store: ObjectStore) -> None:
    def give_up() -> None:
        with Upload(store, "given-up/x", content_type="a/b") as upload:
            upload.write(os.urandom(3 * PART))
            assert unfinished(store, "given-up/") == ["given-up/x"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert store.head("given-up/x") is None
    assert unfinished(store, "given-up/") == []


def test_what_a_killed_process_leaves_is_aborted(store: ObjectStore) -> None:
    dead = Upload(store, "killed/1/x", content_type="a/b").__enter__()
    dead.write(os.urandom(2 * PART))
    other = Upload(store, "killed/10/x", content_type="a/b").__enter__()
    assert abort_unfinished(store, "killed/1/", before=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert abort_unfinished(store, "killed/1/") == 1
    assert unfinished(store, "killed/") == ["killed/10/x"]
    # Its maker was not dead after all: it is told, and there is no object.
    with pytest.raises(ObjectMissing, match="killed/1/x"):
        dead.__exit__(None, None, None)
    assert store.head("killed/1/x") is None
    other.__exit__(None, None, None)
    assert store.head("killed/10/x") is not None


def test_memory_does_not_grow_with_the_object(store: ObjectStore) -> None:
    block = os.urandom(1 << 20)
    tracemalloc.start()
    try:
        with Upload(store, "parts/large", content_type="a/b") as upload:
            for _ in range(150):
                upload.write(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * PART
