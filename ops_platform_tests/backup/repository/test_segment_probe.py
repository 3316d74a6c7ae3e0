"""A segment that has just arrived is found without a listing, or a listing is asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from ops_platform.backup.repository import segment_probe
from ops_platform.backup.repository.backup_sets import Database
from ops_platform.backup.repository.stored_files import StoredFiles
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.backup.wal import Geometry, History, Segment
from ops_platform.clients.object_store import StoredObject
from ops_platform.clients.pgbackrest import StoredEntry
from ops_platform_tests.backup.shapes import GEOMETRY, archive, two_repositories

DATABASE = Database(1, 7000, "15")
SMALL = Geometry(1 << 20)
NAME = SMALL.name(Segment(1, 8))
AT = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Heads:
    """A store of these keys, each of so many bytes."""

    sizes: dict[str, int] = field(default_factory=dict)

    def head(self, key: str) -> StoredObject | None:
        size = self.sizes.get(key)
        return None if size is None else StoredObject(key, size, AT, "etag", None)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackupContext:
    monkeypatch.setattr("os.chown", lambda *_: None)
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True)
    return open_context(two_repositories(tmp_path, OPS_PRODUCT_DATA_DIR=str(data)), "product")


def found(context: BackupContext, heads: Heads, geometry: Geometry = SMALL) -> StoredEntry | None:
    stored = StoredFiles(cast(Any, heads), "pgbackrest/")
    return segment_probe.find(context, stored, DATABASE, NAME, geometry)


def key_of(body: bytes, codec: str = ".lz4") -> str:
    checksum = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    return f"pgbackrest/archive/product/15-1/{NAME[:16]}/{NAME}-{checksum}{codec}"


def write(context: BackupContext, body: bytes) -> None:
    (context.stanza.data_dir(context.settings) / "pg_wal" / NAME).write_bytes(body)


def test_the_bytes_of_the_server_are_asked_for(context: BackupContext) -> None:
    body = b"wal " * (SMALL.size // 4)
    write(context, body)
    heads = Heads({key_of(body): 70_000})
    assert found(context, heads) == StoredEntry(True, 70_000, int(AT.timestamp()))


@pytest.mark.parametrize("size", [0, 100, 2 << 20])
def test_an_object_of_an_impossible_size_is_for_a_listing_to_name(context: BackupContext, size: int) -> None:
    body = b"wal " * (SMALL.size // 4)
    write(context, body)
    assert found(context, Heads({key_of(body): size})) is None


def test_without_these_bytes_a_listing_is_needed(context: BackupContext) -> None:
    body = b"wal " * (SMALL.size // 4)
    others = Heads(
        {key_of(b"x" * SMALL.size): 70_000, key_of(body, ".zst"): 70_000, key_of(body[:-1]): 70_000}
    )
    assert found(context, others) is None, "the file was used again for another segment"
    write(context, body[:-1])
    assert found(context, others) is None, "it is no whole segment"
    write(context, body)
    assert found(context, others) is None, "other bytes, another codec"
    large = Geometry(1 << 30)
    assert found(context, Heads({key_of(body): 70_000}), large) is None, "it is too large to be read"


def test_an_archive_grows_by_what_comes_next() -> None:
    known = archive(3, 4, 5)
    name = GEOMETRY.name(Segment(1, 6))
    assert known.expects(name)
    grown = known.with_arrived(name, StoredEntry(True, 1000, int(AT.timestamp())))
    assert grown.holds(name)
    assert not known.holds(name)
    assert grown.state_from(GEOMETRY.name(Segment(1, 3))).contiguous_last == Segment(1, 6)
    assert grown.arrived_at(Segment(1, 6)) == AT


@pytest.mark.parametrize(
    "name",
    [
        GEOMETRY.name(Segment(1, 5)),  # there already
        GEOMETRY.name(Segment(1, 7)),  # behind one that nobody has seen
        GEOMETRY.name(Segment(2, 6)),  # of another timeline
        "00000002.history",
        f"{GEOMETRY.name(Segment(1, 6))}.00000028.backup",
    ],
)
def test_anything_else_has_to_be_listed(name: str) -> None:
    assert not archive(3, 4, 5).expects(name)


def test_what_a_listing_found_unusable_has_to_be_listed_again() -> None:
    """Of two objects of one segment the probe sees only the one of the server's bytes."""
    newest, following = (GEOMETRY.name(Segment(1, number)) for number in (6, 7))
    known = archive(3, 4, 5, 6).without({newest: "there are 2 objects of it, with 2 checksums"})
    assert not known.holds(newest)
    assert not known.expects(newest)
    assert archive(3, 4, 5, 6).without({GEOMETRY.name(Segment(1, 4)): "it is empty"}).expects(following)


def test_the_first_segment_of_a_folder_or_of_a_new_timeline_has_to_be_listed() -> None:
    last = GEOMETRY.per_log - 1
    assert not archive(last - 1, last).expects(GEOMETRY.name(Segment(1, last + 1)))
    forked = archive(3, 4, 5, histories={2: History(2, ((1, GEOMETRY.start(5) + 8),))})
    assert not forked.expects(GEOMETRY.name(Segment(2, 5)))
    assert not forked.expects(GEOMETRY.name(Segment(1, 6)))
