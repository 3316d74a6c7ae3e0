"""Objects of segments in a listing: one that can be used, and every way in which one cannot."""

from __future__ import annotations

import pytest

from ops_platform.backup.repository.segment_folders import parse_folder
from ops_platform.backup.repository.segment_objects import sort_out
from ops_platform.backup.wal import Geometry, Segment
from ops_platform.clients.pgbackrest import StoredEntry

SIZE = 16 << 20
GEOMETRY = Geometry(SIZE)
NAME = GEOMETRY.name(Segment(1, 3))
SUM, OTHER = "ab" * 20, "cd" * 20
EMPTY = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


@pytest.mark.parametrize(
    ("codec", "size"),
    [
        ("", SIZE),
        ("", SIZE + 32),  # encrypted
        (".lz4", 65_867),  # a segment of zeros, as each codec makes it
        (".lz4", 65_904),
        (".gz", 16_328),
        (".zst", 533),
        (".bz2", 45),
        (".lz4", SIZE + 70_000),  # nothing to compress
    ],
)
def test_what_a_codec_can_make_is_used(codec: str, size: int) -> None:
    usable, faults = sort_out({f"{NAME}-{SUM}{codec}": StoredEntry(True, size)}, GEOMETRY)
    assert (list(usable), faults) == ([NAME], {})


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ({f"{NAME}-{SUM}.lz4": 70_000, f"{NAME}-{OTHER}.lz4": 70_000}, "2 objects of it, with 2 checksums"),
        ({f"{NAME}-{SUM}.lz4": 70_000, f"{NAME}-{SUM}.gz": 70_000}, "2 objects of it, with 1 checksums"),
        ({f"{NAME}-{SUM}.lz4": 0}, "has 0 bytes"),
        ({f"{NAME}-{SUM}.lz4": 16}, "has 16 bytes"),
        ({f"{NAME}-{SUM}.lz4": 40_000}, "has 40000 bytes"),
        ({f"{NAME}-{SUM}": SIZE - 1}, "no whole segment"),
        ({f"{NAME}-{SUM}.zst": SIZE * 2}, "no whole segment"),
        ({f"{NAME}-{EMPTY}.lz4": 70_000}, "that of no segment"),
        ({f"{NAME}-{SUM[:-1]}.lz4": 70_000}, "no checksum"),
    ],
)
def test_what_recovery_cannot_use_counts_as_missing_and_is_named(listing: dict[str, int], said: str) -> None:
    entries = {name: StoredEntry(True, size, 1) for name, size in listing.items()}
    usable, faults = sort_out(entries, GEOMETRY)
    assert usable == {}
    assert said in faults[NAME]
    folder = parse_folder(NAME[:16], entries, GEOMETRY)
    assert folder.segments == ()
    assert dict(folder.faults) == faults


def test_a_misnamed_file_beside_a_good_one_is_no_fault() -> None:
    listing = {f"{NAME}-{SUM}.lz4": StoredEntry(True, 70_000), f"{NAME}-{SUM[:-1]}.lz4": StoredEntry(True, 1)}
    usable, faults = sort_out(listing, GEOMETRY)
    assert (list(usable), faults) == ([NAME], {})


def test_other_files_of_the_archive_are_passed_over() -> None:
    listing = {
        f"{NAME}.00000028.backup": StoredEntry(True, 400),
        f"{NAME}.partial-{SUM}.lz4": StoredEntry(True, 9),
    }
    assert sort_out(listing, GEOMETRY) == ({}, {})
