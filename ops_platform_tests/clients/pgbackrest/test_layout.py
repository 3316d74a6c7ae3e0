"""The layout of pgBackRest's repository, and that one package alone knows it."""

from __future__ import annotations

import ast
import itertools
import re

import pytest

from ops_platform.clients.pgbackrest import Layout, SegmentFile, layout, log_lines, supported_servers
from ops_platform_tests import sources
from ops_platform_tests.sources import PACKAGE

SEGMENT = "000000020000000A000000FF"
LOOKED_AT = re.compile(r"info|manifest|0-9a-f")
"""A module without any of these has none of them, and need not be parsed."""
FILES = re.compile(r"(.*/)?(backup\.info|archive\.info|backup\.manifest)(\.copy)?")


def test_paths_of_a_stanza() -> None:
    paths = Layout("product")
    label = "20261130-080000F"
    assert paths.backup_info + layout.COPY == "backup/product/backup.info.copy"
    assert paths.manifest(label) == f"backup/product/{label}/backup.manifest"
    assert paths.bundle(label, 3) == f"backup/product/{label}/bundle/3"
    assert paths.archive_info == "archive/product/archive.info"
    archive = layout.archive_id("15", 2)
    assert paths.folder(archive, layout.folder_of(SEGMENT)) == "archive/product/15-2/000000020000000A"
    assert paths.history(archive, 10) == "archive/product/15-2/0000000A.history"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("", None), (".lz4", "lz4"), (".zst", "zst"), (".gz", "gz"), (".bz2", "bz2")],
)
def test_a_segment_tells_its_checksum_and_codec(name: str, codec: str | None) -> None:
    checksum = "0123456789abcdef0123456789abcdef01234567"
    assert SegmentFile.parse(f"{SEGMENT}-{checksum}{name}") == SegmentFile(SEGMENT, checksum, codec)


@pytest.mark.parametrize(
    "name",
    [f"{SEGMENT}.partial-{'0' * 40}.lz4", f"{SEGMENT}.00000028.backup", SEGMENT, f"{SEGMENT}-{'0' * 39}"],
)
def test_what_recovery_does_not_read_is_no_segment(name: str) -> None:
    assert SegmentFile.parse(name) is None


def test_names_in_an_archive() -> None:
    assert layout.is_folder("000000020000000A")
    assert not layout.is_folder("00000002.history")
    assert layout.history_timeline("0000000A.history") == 10
    assert layout.history_timeline("0000000A.history.bak") is None
    assert layout.timeline_of("0000000B0000000A") == 11
    assert layout.is_label("20261130-080000F_20261130-090000I")
    assert not layout.is_label("backup.history")


def test_a_long_backup_has_wal_in_many_folders() -> None:
    first, last = "0000000200000009000000FE", "000000020000000C00000000"
    folders = layout.folders_between(first, last)
    assert folders == ["0000000200000009", "000000020000000A", "000000020000000B", "000000020000000C"]
    assert layout.folders_between(first, first) == folders[:1]


def test_what_expire_says() -> None:
    messages = [
        "repo1: expire full backup set 20261101-000000F, 20261101-000000F_20261102-000000D",
        "repo1: remove expired backup 20261101-000000F_20261102-000000D",
        f"repo1: 15-1 remove archive, start = {SEGMENT}, stop = {SEGMENT}",
    ]
    assert log_lines.expired_sets(messages) == ("20261101-000000F_20261102-000000D",)
    assert log_lines.expired_archive(messages) == (log_lines.ArchiveRange("15-1", SEGMENT, SEGMENT),)


def test_a_server_beyond_the_list_is_pgbackrests_own_to_refuse() -> None:
    assert supported_servers.first_version(17) == (2, 53)
    assert supported_servers.first_version(supported_servers.NEWEST_LISTED + 1) is None


def test_nobody_else_knows_the_files_of_the_repository() -> None:
    """Messages may name them; a path or a pattern of them belongs in ``clients.pgbackrest``."""
    knowing = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sources.PATHS
        if path.parent != PACKAGE / "clients" / "pgbackrest"
        if LOOKED_AT.search(sources.text(path))
        for node in sources.nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (FILES.fullmatch(node.value) or "[0-9a-f]{40}" in node.value)
    ]
    assert knowing == []


def test_a_listing_after_it_begins_with_the_folder() -> None:
    folders = [f"{timeline:08X}{log:08X}" for timeline in (1, 16) for log in range(600)]
    for earlier, name in itertools.pairwise(folders):
        assert f"{earlier}/ffff" < layout.before(name) < name
    assert "20261101-000300D/ffff" < layout.before("20261101-000300F") < "20261101-000300F"
    assert not [name for name in folders if "/" in layout.before(name)]
