"""Segment arithmetic, against the plainest reading of PostgreSQL's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.wal import SEGMENT_SIZES, Geometry, Segment, format_lsn, infer_geometry, parse_lsn

geometries = st.sampled_from(SEGMENT_SIZES).map(Geometry)
lsns = st.integers(0, (1 << 64) - 1)
# Four segments to a log: small numbers cross the boundary between logs.
COARSE = Geometry(1 << 30)


@given(lsns)
def test_an_lsn_is_written_and_read_back(lsn: int) -> None:
    assert parse_lsn(format_lsn(lsn)) == lsn


@pytest.mark.parametrize("text", ["", "0", "0/", "/0", "0/G", "1/2/3", "123456789/0", " 0/0"])
def test_what_is_no_lsn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no LSN"):
        parse_lsn(text)


@given(geometries, st.integers(1, 0xFFFFFFFF), lsns)
def test_a_segment_is_named_and_parsed_back(geometry: Geometry, timeline: int, lsn: int) -> None:
    segment = Segment(timeline, geometry.number_at(lsn))
    name = geometry.name(segment)
    assert len(name) == 24
    assert geometry.parse(name) == segment
    assert geometry.folder(segment) == name[:16]
    assert geometry.start(segment.number) <= lsn < geometry.start(segment.number + 1)


@given(geometries, st.integers(0, 1 << 33))
def test_names_sort_as_numbers_do(geometry: Geometry, number: int) -> None:
    assert geometry.name(Segment(1, number)) < geometry.name(Segment(1, number + 1))


def test_names_are_those_of_postgresql() -> None:
    # SELECT pg_walfile_name(...) on servers with 16 MiB and 1 GiB segments.
    assert (
        Geometry().name(Segment(1, Geometry().number_at(parse_lsn("0/3000028"))))
        == "0" * 7 + "1" + "0" * 15 + "3"
    )
    assert Geometry().name(Segment(2, 256)) == "000000020000000100000000"
    assert COARSE.name(Segment(1, 4)) == "000000010000000100000000"


@pytest.mark.parametrize("name", ["00000001000000000000000", "00000000" * 3, "0000000100000000000000ZZ", ""])
def test_what_is_no_segment_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no WAL segment"):
        Geometry().parse(name)


def test_a_segment_beyond_its_log_is_refused() -> None:
    with pytest.raises(ValueError, match="of 16777216 bytes"):
        Geometry().parse("000000010000000000000100")


@given(geometries, st.lists(lsns, min_size=1, max_size=5))
def test_the_size_is_inferred_from_names_and_positions(geometry: Geometry, positions: list[int]) -> None:
    pairs = [(geometry.name(Segment(1, geometry.number_at(lsn))), format_lsn(lsn)) for lsn in positions]
    found = infer_geometry(pairs)
    for name, lsn in pairs:
        assert found.number_at(parse_lsn(lsn)) == found.parse(name).number
    # One position far enough into its log leaves no other size possible.
    if any(lsn & 0xFFFFFFFF >= 1 << 31 for lsn in positions):
        assert found == geometry


def test_contradicting_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="no WAL segment size fits"):
        infer_geometry([("000000010000000000000003", "0/3000028"), ("000000010000000000000003", "0/4000028")])
