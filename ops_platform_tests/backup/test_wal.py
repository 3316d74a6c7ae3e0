"""Segment arithmetic and gaps, against the plainest reading of PostgreSQL's rules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ops_platform.backup.wal import (
    SEGMENT_SIZES,
    ArchiveState,
    Geometry,
    History,
    Segment,
    archive_state,
    format_lsn,
    infer_geometry,
    newest_history,
    parse_lsn,
)

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


def test_a_history_file_is_read() -> None:
    text = "1\t0/A000198\tno recovery target specified\n\n# a comment\n2\t1/2B000000\tbefore 2026-01-01\n"
    assert History.parse(3, text) == History(3, ((1, parse_lsn("0/A000198")), (2, parse_lsn("1/2B000000"))))


@pytest.mark.parametrize("text", ["x\t0/1\t", "1", "1\tzero\t", "2\t0/1\t\n1\t0/2\t", "3\t0/1\t"])
def test_a_history_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no LSN|history"):
        History.parse(3, text)


# --- gaps, against brute force -------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Geometry, dict[int, History], set[Segment], Segment]:
    """Timelines branching off one another, an archive with holes in it, and where recovery begins."""
    geometry = draw(st.sampled_from([COARSE, Geometry(1 << 29), Geometry(1 << 20)]))
    last = 12
    positions = st.integers(0, last * geometry.size).map(
        lambda lsn: lsn if lsn % 3 else lsn // geometry.size * geometry.size
    )
    histories: dict[int, History] = {}
    ways: dict[int, tuple[tuple[int, int], ...]] = {1: ()}
    for timeline in range(2, draw(st.integers(1, 4)) + 1):
        parent = draw(st.sampled_from(sorted(ways)))
        at = draw(positions)
        if ways[parent] and ways[parent][-1][1] > at:
            at = ways[parent][-1][1]
        ways[timeline] = (*ways[parent], (parent, at))
        if draw(st.integers(0, 9)):
            histories[timeline] = History(timeline, ways[timeline])
    candidates = [Segment(timeline, number) for timeline in ways for number in range(last + 1)]
    present = {segment for segment in candidates if draw(st.integers(0, 6))}
    return geometry, histories, present, draw(st.sampled_from(candidates))


def required_timeline(history: History, number: int, geometry: Geometry) -> int:
    """XLogFileReadAnyTLI: the newest timeline of the history that began in this segment or before."""
    begins = [(1 if not history.left else history.left[0][0], 0)]
    later = [timeline for timeline, _ in history.left[1:]] + [history.timeline]
    begins += (
        [(new, lsn // geometry.size) for new, (_, lsn) in zip(later, history.left, strict=True)]
        if history.left
        else []
    )
    if not history.left:
        begins = [(history.timeline, 0)]
    return [timeline for timeline, begin in begins if begin <= number][-1]


def brute_force(
    present: set[Segment],
    history: History,
    geometry: Geometry,
    start: Segment,
    known: Segment | None = None,
) -> tuple[int | None, set[Segment]]:
    """Contiguous end (exclusive segment number) and the missing segments, one number after the other."""
    wanted = [Segment(required_timeline(history, n, geometry), n) for n in range(start.number, 40)]
    there = [segment for segment in wanted if segment in present]
    certain = [wanted[0], *there, *([known] if known in wanted else [])]
    upto = [segment for segment in wanted if segment.number <= max(one.number for one in certain)]
    run = list(itertools.takewhile(lambda segment: segment in present, upto))
    return (run[-1].number + 1 if run else None), {segment for segment in upto if segment not in present}


@given(worlds(), st.none() | st.builds(Segment, st.integers(1, 4), st.integers(0, 20)))
@example((COARSE, {2: History(2, ((1, 3 << 30),))}, {Segment(1, 2), Segment(2, 3)}, Segment(1, 2)), None)
def test_gaps_are_what_brute_force_finds(
    world: tuple[Geometry, dict[int, History], set[Segment], Segment], known: Segment | None
) -> None:
    geometry, histories, present, start = world
    state = archive_state(present, histories, geometry, start, known)
    end, missing = brute_force(present, state.history, geometry, start, known)

    assert state.contiguous_end == (None if end is None else end * geometry.size)
    found = {
        Segment(gap.first.timeline, number)
        for gap in state.gaps
        for number in range(gap.first.number, gap.last.number + 1)
    }
    assert found == missing
    assert state.gap_segments == len(missing)
    if end is None:
        assert state.contiguous_last is None
    else:
        assert state.contiguous_last == Segment(required_timeline(state.history, end - 1, geometry), end - 1)


@given(worlds(), st.integers(1, 4), st.integers(0, 14 << 30))
def test_a_position_is_covered_when_replay_passes_it(
    world: tuple[Geometry, dict[int, History], set[Segment], Segment], timeline: int, lsn: int
) -> None:
    geometry, histories, present, start = world
    state = archive_state(present, histories, geometry, start)
    end, _ = brute_force(present, state.history, geometry, start)
    on_the_way = timeline == state.history.timeline or any(
        ancestor == timeline and lsn <= left for ancestor, left in state.history.left
    )
    assert state.covers(timeline, lsn) == (end is not None and lsn <= end * geometry.size and on_the_way)


@given(worlds())
def test_more_in_the_archive_never_recovers_less(
    world: tuple[Geometry, dict[int, History], set[Segment], Segment],
) -> None:
    geometry, histories, present, start = world

    def end(state: ArchiveState) -> int:
        return state.contiguous_end or 0

    less = archive_state(present, histories, geometry, start)
    for extra in (Segment(timeline, number) for timeline in range(1, 5) for number in range(13)):
        assert end(archive_state(present | {extra}, histories, geometry, start)) >= end(less)


@given(worlds())
def test_the_newest_timeline_is_found_as_recovery_does(
    world: tuple[Geometry, dict[int, History], set[Segment], Segment],
) -> None:
    geometry, histories, _, start = world
    found = newest_history(start, histories, geometry)
    assert found.holds(start, geometry)
    for timeline in range(start.timeline + 1, found.timeline + 1):
        assert timeline in histories


def test_a_promotion_is_no_gap() -> None:
    """The old timeline's last segment exists as .partial only; the new one has it whole."""
    geometry = Geometry()
    left = parse_lsn("0/5000100")
    histories = {2: History(2, ((1, left),))}
    present = {Segment(1, 3), Segment(1, 4), Segment(2, 5), Segment(2, 6)}
    state = archive_state(present, histories, geometry, Segment(1, 3))
    assert state.gaps == ()
    assert state.history.timeline == 2
    assert state.covers(1, left)
    assert not state.covers(1, left + 1)
    assert state.covers(2, parse_lsn("0/6FFFFFF"))


def test_an_abandoned_timeline_leads_nowhere_new() -> None:
    """Recovery went back to before this set: what the new timeline archived is no way from it."""
    histories = {2: History(2, ((1, parse_lsn("0/3000100")),))}
    present = {Segment(1, 3), Segment(1, 4), Segment(1, 5), Segment(2, 3), Segment(2, 4)}
    state = archive_state(present, histories, Geometry(), Segment(1, 5))
    assert state.history.timeline == 1
    assert not state.covers(2, parse_lsn("0/4000100"))


def test_a_segment_that_a_set_needs_is_missing_also_at_the_end() -> None:
    """Without a later segment beside it, it could be taken for not archived yet."""
    present = {Segment(1, 3), Segment(1, 4)}
    assert archive_state(present, {}, Geometry(), Segment(1, 3)).gap_segments == 0
    state = archive_state(present, {}, Geometry(), Segment(1, 3), Segment(1, 6))
    assert [(gap.first, gap.last) for gap in state.gaps] == [(Segment(1, 5), Segment(1, 6))]
    assert state.contiguous_last == Segment(1, 4)


def test_the_end_itself_is_covered() -> None:
    """Everything before the contiguous end is there, so a commit that ends exactly there is too."""
    state = archive_state({Segment(1, 3)}, {}, Geometry(), Segment(1, 3))
    assert state.contiguous_end == parse_lsn("0/4000000")
    assert state.covers(1, parse_lsn("0/4000000"))
    assert not state.covers(1, parse_lsn("0/4000001"))


def test_recovery_can_begin_in_the_segment_where_the_timeline_was_left() -> None:
    history = History(2, ((1, parse_lsn("0/5000100")),))
    assert history.holds(Segment(1, 5), Geometry())
    assert not history.holds(Segment(1, 6), Geometry())


def test_a_gap_over_a_promotion_is_named_on_both_timelines() -> None:
    histories = {2: History(2, ((1, parse_lsn("0/5000100")),))}
    state = archive_state({Segment(1, 3), Segment(2, 6)}, histories, Geometry(), Segment(1, 3))
    assert [(gap.first, gap.last) for gap in state.gaps] == [
        (Segment(1, 4), Segment(1, 4)),
        (Segment(2, 5), Segment(2, 5)),
    ]
