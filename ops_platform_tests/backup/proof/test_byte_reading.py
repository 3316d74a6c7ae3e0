"""Bytes against checksums, in chunks of any size; and what pgBackRest's verify says of sets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.proof.byte_reading import SOUND, UNPROVEN, ByteReader, Reading, wrong_files
from ops_platform.backup.proof.reading_plan import StoredItem
from ops_platform.backup.proof.verify_output import valid_sets
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.pgbackrest import (
    Layout,
    Manifest,
    PgBackRest,
    PgBackRestError,
    StoredFile,
    StoredObject,
)
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.proof.manifests import sha1, written

SIZES = (0, 1, 700, 0, 16, 5000)
BODY = random.Random(4).randbytes(sum(SIZES))


def files() -> list[StoredFile]:
    at, made = 0, []
    for number, size in enumerate(SIZES):
        made.append(StoredFile(f"file {number}", at, size, sha1(BODY[at : at + size])))
        at += size
    return made


def chunks(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@given(st.integers(min_value=1, max_value=6000))
def test_sound_bytes_are_sound_whatever_the_chunks(size: int) -> None:
    assert wrong_files(chunks(BODY, size), files()) == []


@given(st.integers(min_value=0, max_value=len(BODY) - 1), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_found_in_its_file(at: int, change: int) -> None:
    body = bytearray(BODY)
    body[at] ^= change
    (wrong,) = wrong_files(chunks(bytes(body), 777), files())
    assert wrong.offset <= at < wrong.offset + wrong.size


def test_an_object_that_ends_too_soon_lacks_its_last_files() -> None:
    assert [file.name for file in wrong_files([BODY[:700]], files())] == ["file 2", "file 4", "file 5"]


def test_bytes_between_files_are_passed_over() -> None:
    first, *others = [file for file in files() if file.size]
    moved = [StoredFile(one.name, one.offset + 9, one.size, one.checksum) for one in others]
    gap = BODY[: first.size] + b"\0" * 9 + BODY[first.size :]
    assert wrong_files(chunks(gap, 50), [first, *moved]) == []


def test_a_file_whose_name_is_no_utf_8_is_left_to_pgbackrest() -> None:
    """By what a listing shows of its name nobody could ask for it, and it would stay unread for ever."""
    label = "20261130-081559F"
    path = "pg_data/na\N{REPLACEMENT CHARACTER}ve.lz4"
    stored = StoredObject(label, path, (StoredFile(path, 0, 8192, "ab"),))
    asked = PgBackRest("pgbackrest", Path("/nowhere"), "product")
    known = {label: Manifest(label, (), False, {label: {path: stored}})}
    reader = ByteReader(asked, cast(ObjectStore, None), "", known)
    now = datetime.now(UTC)
    item = StoredItem("set", label, path, 8192, now, now)
    assert reader.read(item) == UNPROVEN


SEGMENT = sha1(BODY)
INDEX = written({"db": {"db-id": 1}})


class Archive:
    """A repository with one segment, as pgBackRest and as S3: path -> text, or an exit code."""

    stanza, layout = "product", Layout("product")

    def __init__(self, index: str | int, copy: str | int) -> None:
        self.texts = {self.layout.archive_info: index, self.layout.archive_info + ".copy": copy}

    def repo_get(self, path: str) -> str:
        text = self.texts[path]
        if isinstance(text, int):
            raise PgBackRestError("it failed", text)
        return text

    @contextmanager
    def reading(self, key: str) -> Iterator[list[bytes]]:
        yield chunks(BODY, 1000)

    def read(self) -> Reading:
        now, name = datetime.now(UTC), f"{'0' * 7}1{'0' * 14}05-{SEGMENT}"
        reader = ByteReader(cast(PgBackRest, self), cast(ObjectStore, self), "pgbackrest/")
        return reader.read(StoredItem("wal", "15-1/0000000100000000", name, len(BODY), now, now))


@pytest.mark.parametrize(
    "damaged",
    [55, 95, INDEX.replace("db-id=1", "db-id=2"), INDEX.replace("db-id=1", "\x00"), ""],
    ids=["missing", "not decrypted", "another checksum", "garbled", "empty"],
)
def test_segments_are_read_by_the_copy_of_a_damaged_index(damaged: str | int) -> None:
    assert Archive(damaged, INDEX).read() == SOUND
    with pytest.raises(
        CheckFailed, match=r"archive\.info.*; .*archive\.info\.copy.*repositoryindexlost"
    ) as refused:
        Archive(damaged, damaged).read()
    assert "\n" not in str(refused.value)


def test_an_index_that_s3_does_not_give_is_no_damage() -> None:
    with pytest.raises(PgBackRestError):
        Archive(56, INDEX).read()


VERIFY = """stanza: product
status: error
  archiveId: 15-1, total WAL checked: 6, total valid WAL: 5
    missing: 0, checksum invalid: 0, size invalid: 0, other: 1
  backup: 20261130-081559F, status: invalid, total files checked: 1281, total valid files: 482
    missing: 799, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261130-081559F_20261130-081607I, status: valid, total files checked: 1284, total valid files: 1284
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261130-091559F, status: valid, total files checked: 9, total valid files: 8
  backup: 20261130-101559F, status: manifest missing, total files checked: 0, total valid files: 0"""


def test_verify_is_believed_by_its_output_alone() -> None:
    assert valid_sets(VERIFY.splitlines()) == {
        "20261130-081559F": False,
        "20261130-081559F_20261130-081607I": True,
        "20261130-091559F": False,
        "20261130-101559F": False,
    }
    assert valid_sets([]) == {}
