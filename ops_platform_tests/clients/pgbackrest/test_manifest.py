"""What a manifest says of the stored objects, in the forms of pgBackRest 2.45 and 2.55, and its damage."""

from __future__ import annotations

from typing import Any

import pytest

from ops_platform.clients.pgbackrest.manifest import Manifest, StoredFile
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.proof.manifests import manifest, sha1

FULL, INCR = "20261101-000000F", "20261101-000000F_20261102-000000I"
FILES: dict[str, dict[str, Any]] = {
    "pg_data/PG_VERSION": {"bni": 1, "bno": 128, "checksum": "aa", "rck": "ab", "repo-size": 48, "size": 3},
    "pg_data/base/1/112": {"bni": 1, "checksum": "ba", "rck": "bb", "repo-size": 128, "size": 8192},
    "pg_data/base/5/16384": {"checksum": "ca", "rck": "cb", "repo-size": 999, "size": 81920},
    "pg_data/base/5/empty": {"size": 0},
}


def test_bundles_and_single_files() -> None:
    read = Manifest.parse(manifest(FULL, FILES))
    assert (read.label, read.references, read.has_blocks) == (FULL, (), False)
    assert {path: stored.size for path, stored in read.own.items()} == {
        "bundle/1": 176,
        "pg_data/base/5/16384.lz4": 999,
    }
    assert read.own["bundle/1"].files == (
        StoredFile("pg_data/base/1/112", 0, 128, "bb"),
        StoredFile("pg_data/PG_VERSION", 128, 48, "ab"),
    )


def test_files_of_other_sets() -> None:
    files: dict[str, dict[str, Any]] = {
        "pg_data/a": {**FILES["pg_data/base/5/16384"], "reference": FULL},
        "pg_data/b=c": {"checksum": "da", "rck": "db", "repo-size": 7, "size": 9},
    }
    read = Manifest.parse(manifest(INCR, files))
    assert read.references == (FULL,)
    assert list(read.objects[FULL]) == ["pg_data/a.lz4"]
    assert list(read.own) == ["pg_data/b=c.lz4"]


@pytest.mark.parametrize(("codec", "ending"), [("none", ""), ("zst", ".zst"), ("gz", ".gz"), ("bz2", ".bz2")])
def test_the_ending_is_that_of_the_codec(codec: str, ending: str) -> None:
    assert list(Manifest.parse(manifest(FULL, {"x": FILES["pg_data/base/5/16384"]}, codec=codec)).own) == [
        f"x{ending}"
    ]


def test_a_file_in_blocks_may_need_all_of_its_references() -> None:
    """2.55: ``bi`` is the size of a block, ``bim`` that of the map, ``szo`` the size before it changed."""
    files: dict[str, dict[str, Any]] = {
        "pg_data/blocks": {"bi": 16, "bim": 40, "checksum": "ea", "rck": "eb", "repo-size": 500, "size": 9000,
                           "szo": 8000},
    }  # fmt: skip
    read = Manifest.parse(manifest(INCR, files, version="2.55.1"))
    assert read.has_blocks
    assert list(read.own) == ["pg_data/blocks.pgbi"]


def test_bytes_stored_as_they_are_have_the_checksum_of_the_file() -> None:
    files: dict[str, dict[str, Any]] = {"plain": {"checksum": "fa", "size": 5}, "empty": {"size": 0}}
    read = Manifest.parse(manifest(FULL, files, codec="none", encrypted=False, bundled=False))
    assert [stored.files[0].checksum for stored in read.own.values()] == ["fa", sha1(b"")]
    # Before 2.45 the checksum of what is stored was not noted.
    old = Manifest.parse(manifest(FULL, {"packed": {"checksum": "fa", "repo-size": 3, "size": 5}}))
    assert old.own["packed.lz4"].files[0].checksum is None


@pytest.mark.parametrize("name", [b"M\xfcller", "line\u2028end".encode(), b"carriage\rreturn", b"a\x01b"])
def test_a_file_may_have_any_name(name: bytes) -> None:
    """A directory of a server that somebody else wrote into: Latin-1, and what Unicode calls a line's end."""
    text = manifest(FULL, {"pg_data/NAME": FILES["pg_data/base/1/112"], **FILES})
    before, _, _ = text.rpartition("[backrest]")
    written = before.encode().replace(b"NAME", name)
    quoted = name.replace(b"\r", b"\\r")
    summed = b"{" + b",".join(
        b'"%s":{%s}'
        % (section, b",".join(b'"%s":%s' % tuple(line.split(b"=", 1)) for line in lines if line))
        for section, *lines in (
            part.replace(b"]", b"", 1).split(b"\n")
            for part in before.encode().replace(b"NAME", quoted).lstrip(b"[").split(b"\n[")
        )
    ) + b"}"  # fmt: skip
    written += b'[backrest]\nbackrest-checksum="%s"\n' % sha1(summed).encode()
    read = Manifest.parse(written.decode(errors="surrogateescape"))
    names = [file.name for file in read.own["bundle/1"].files]
    assert f"pg_data/{name.decode(errors='replace')}" in names


def test_a_changed_manifest_is_refused() -> None:
    text = manifest(FULL, FILES)
    for wrong in (
        text.replace('"bno":128', '"bno":129'),
        text.replace(FULL, INCR),
        text[: len(text) // 2],
        text.replace("backrest-checksum", "backrest-check"),
        "",
        "�" * 500,
    ):
        with pytest.raises(CheckFailed):
            Manifest.parse(wrong)
