"""A kept version is tried on a path of its own: the index itself is written only with what can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.backup.repository import repair
from ops_platform.backup.repository.index_files import IndexFile, IndexPair, State
from ops_platform.backup.repository.kept_index import KeptIndex
from ops_platform.clients.pgbackrest import Layout
from ops_platform.errors import CheckFailed, Unavailable

INDEX = Layout("product").backup_info
NEWEST, OLDER = b"newest", b"older"


@dataclass
class Bucket:
    """Files by path, with every write and deletion in order."""

    files: dict[str, bytes] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def put(self, path: str, body: bytes) -> None:
        self.files[path] = body
        self.told.append(path)

    def delete(self, path: str) -> None:
        del self.files[path]


def scene(monkeypatch: pytest.MonkeyPatch, bucket: Bucket, readable: bytes | None) -> list[repair.Step]:
    """Repair an index of which both files are ``bucket``'s; pgBackRest can read ``readable`` only."""
    states: tuple[State, ...] = tuple("broken" if body else "lost" for body in bucket.files.values())
    first, copy = (
        IndexFile(path, state, body) for (path, body), state in zip(bucket.files.items(), states, strict=True)
    )
    kept = SimpleNamespace(
        versions=lambda name: [
            SimpleNamespace(kept_at=datetime(2026, 6, 1, tzinfo=UTC), body=body) for body in (NEWEST, OLDER)
        ],
        read=lambda version: version.body,
    )
    ctx = SimpleNamespace(settings=None, stanza=SimpleNamespace(name="product", repository=1))

    def is_readable(ctx: object, path: str) -> bool:
        assert path.endswith("backup.info")
        if readable is None:
            raise Unavailable("S3 is away")
        return bucket.files[path] == readable

    monkeypatch.setattr(KeptIndex, "is_configured", lambda settings: True)
    monkeypatch.setattr(KeptIndex, "open", lambda settings, stanza: kept)
    monkeypatch.setattr(repair, "is_readable", is_readable)
    pair = IndexPair("backup.info", (first, copy))
    return list(repair._mended(cast(Any, ctx), cast(Any, bucket), pair, dry_run=False))


def test_with_a_wrong_passphrase_a_good_index_is_never_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {INDEX: b"newer than what is kept", f"{INDEX}.copy": b"newer than what is kept"}
    bucket = Bucket(dict(before))
    with pytest.raises(CheckFailed, match="none of the 2 kept versions"):
        scene(monkeypatch, bucket, b"nothing")
    assert bucket.files == before
    assert not set(bucket.told) & set(before)


def test_nor_while_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {INDEX: b"newer", f"{INDEX}.copy": b"newer"}
    bucket = Bucket(dict(before))
    with pytest.raises(Unavailable):
        scene(monkeypatch, bucket, None)
    assert bucket.files == before
    assert not set(bucket.told) & set(before)


def test_the_newest_version_that_can_be_read_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket({INDEX: b"garbage", f"{INDEX}.copy": b"garbage"})
    assert [step.path for step in scene(monkeypatch, bucket, OLDER)] == [INDEX, f"{INDEX}.copy"]
    assert bucket.files == {INDEX: OLDER, f"{INDEX}.copy": OLDER}
    assert bucket.told[-2:] == [INDEX, f"{INDEX}.copy"]
