"""The archive's form: names that unpack anywhere, ZIP64 where it is needed, nothing whole when given up."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.gdpr.export.zip_archive import Archive, safe_path

NOW = datetime(2026, 3, 1, 12, 30, 40, tzinfo=UTC)


class Unseekable:
    """A sink as an upload is one."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data


def test_what_goes_in_comes_out() -> None:
    sink = Unseekable()
    with Archive(sink, NOW) as archive:
        archive.put("a.txt", "ü" * 1000)
        archive.put("A.txt", "other")
        archive.put("dir.d/none", "")
        archive.put("dir.d/none", "again")
        with archive.file("b.bin", compress=False) as file:
            file.write(b"1")
            file.write(b"2")
    read = zipfile.ZipFile(io.BytesIO(bytes(sink.data)))
    assert read.testzip() is None
    assert {name: read.read(name) for name in read.namelist()} == {
        "a.txt": ("ü" * 1000).encode(),
        "A-2.txt": b"other",
        "dir.d/none": b"",
        "dir.d/none-2": b"again",
        "b.bin": b"12",
    }
    assert [one.path for one in archive.entries] == read.namelist()
    assert {one.date_time for one in read.infolist()} == {(2026, 3, 1, 12, 30, 40)}


def test_no_file_is_where_a_directory_must_be(tmp_path: Path) -> None:
    sink = Unseekable()
    with Archive(sink, NOW) as archive:
        for path in ("a", "A/b", "a/c/d", "x/y/z", "x/y"):
            archive.put(path, path)
    read = zipfile.ZipFile(io.BytesIO(bytes(sink.data)))
    read.extractall(tmp_path)
    found = {str(one.relative_to(tmp_path)): one.read_text() for one in tmp_path.rglob("*") if one.is_file()}
    assert found == {"a": "a", "A-2/b": "A/b", "a-2/c/d": "a/c/d", "x/y/z": "x/y/z", "x/y-2": "x/y"}


def test_entries_of_unknown_size_may_grow_beyond_4_gib() -> None:
    sink = Unseekable()
    with Archive(sink, NOW) as archive:
        with archive.file("large"):
            pass
        with archive.file("small", size=10):
            pass
    # The local header says which version is needed to read it: 4.5 is ZIP64.
    assert sink.data[4] == 45
    assert sink.data[sink.data.index(b"PK\x03\x04", 4) + 4] == 20


def test_an_archive_that_is_given_up_is_no_archive() -> None:
    sink = Unseekable()

    def give_up() -> None:
        with Archive(sink, NOW) as archive, archive.file("x") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(bytes(sink.data)))


@given(st.text())
def test_no_path_leads_out_of_the_directory(text: str) -> None:
    found = safe_path(text)
    assert not PurePosixPath(found).is_absolute()
    assert not PureWindowsPath(found).is_absolute()
    assert not PureWindowsPath(found).drive
    assert not {"..", ".", ""} & set(found.split("/"))
    assert all(len(part.encode()) <= 150 for part in found.split("/"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/a//b/./c", "a/b/c"),
        ("C:\\x", "C__x"),
        ("...", "_"),
        ("a" * 300 + "/b", "a" * 150 + "/b"),
        ("画" * 300 + ".jpg", "画" * 48 + ".jpg"),
        ("a" * 149 + " b", "a" * 149),
        (".jpg", "jpg"),
    ],
)
def test_paths_stay_readable(given: str, expected: str) -> None:
    assert safe_path(given) == expected
