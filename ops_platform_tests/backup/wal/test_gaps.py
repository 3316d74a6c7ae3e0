"""Gaps of an archive, against brute force."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from ops_platform.backup.wal import (
    ArchiveState,
    Geometry,
    History,
    Segment,
    archive_state,
    parse_lsn,
    runs_of,
)

# Four segments to a log: small numbers cross the boundary between logs.
COARSE = Geometry(1 << 30)
World = tuple[Geometry, History, set[Segment], Segment]
"""A geometry, the history that recovery follows, the archive, and the segment where it begins."""


@st.composite
def worlds(draw: st.DrawFn) -> World:
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
    start = draw(st.sampled_from(candidates))
    known = [*histories.values(), History(1), History(start.timeline)]
    history = draw(st.sampled_from([way for way in known if way.holds(start, geometry)]))
    return geometry, history, present, start


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
@example((COARSE, History(2, ((1, 3 << 30),)), {Segment(1, 2), Segment(2, 3)}, Segment(1, 2)), None)
def test_gaps_are_what_brute_force_finds(world: World, known: Segment | None) -> None:
    geometry, history, present, start = world
    state = archive_state(runs_of(present), history, geometry, start, known)
    end, missing = brute_force(present, history, geometry, start, known)

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
        assert state.contiguous_last == Segment(required_timeline(history, end - 1, geometry), end - 1)


@given(worlds(), st.integers(1, 4), st.integers(0, 14 << 30))
def test_a_position_is_covered_when_replay_passes_it(world: World, timeline: int, lsn: int) -> None:
    geometry, history, present, start = world
    state = archive_state(runs_of(present), history, geometry, start)
    end, _ = brute_force(present, history, geometry, start)
    on_the_way = timeline == history.timeline or any(
        ancestor == timeline and lsn <= left for ancestor, left in history.left
    )
    assert state.covers(timeline, lsn) == (end is not None and lsn <= end * geometry.size and on_the_way)


@given(worlds())
def test_more_in_the_archive_never_recovers_less(
    world: World,
) -> None:
    geometry, history, present, start = world

    def end(state: ArchiveState) -> int:
        return state.contiguous_end or 0

    less = archive_state(runs_of(present), history, geometry, start)
    for extra in (Segment(timeline, number) for timeline in range(1, 5) for number in range(13)):
        assert end(archive_state(runs_of(present | {extra}), history, geometry, start)) >= end(less)


def test_a_promotion_is_no_gap() -> None:
    """The old timeline's last segment exists as .partial only; the new one has it whole."""
    geometry = Geometry()
    left = parse_lsn("0/5000100")
    history = History(2, ((1, left),))
    present = {Segment(1, 3), Segment(1, 4), Segment(2, 5), Segment(2, 6)}
    state = archive_state(runs_of(present), history, geometry, Segment(1, 3))
    assert state.gaps == ()
    assert state.covers(1, left)
    assert not state.covers(1, left + 1)
    assert state.covers(2, parse_lsn("0/6FFFFFF"))


def test_a_segment_that_a_set_needs_is_missing_also_at_the_end() -> None:
    """Without a later segment beside it, it could be taken for not archived yet."""
    present = {Segment(1, 3), Segment(1, 4)}
    assert archive_state(runs_of(present), History(1), Geometry(), Segment(1, 3)).gap_segments == 0
    state = archive_state(runs_of(present), History(1), Geometry(), Segment(1, 3), Segment(1, 6))
    assert [(gap.first, gap.last) for gap in state.gaps] == [(Segment(1, 5), Segment(1, 6))]
    assert state.contiguous_last == Segment(1, 4)


def test_the_end_itself_is_covered() -> None:
    """Everything before the contiguous end is there, so a commit that ends exactly there is too."""
    state = archive_state(runs_of({Segment(1, 3)}), History(1), Geometry(), Segment(1, 3))
    assert state.contiguous_end == parse_lsn("0/4000000")
    assert state.covers(1, parse_lsn("0/4000000"))
    assert not state.covers(1, parse_lsn("0/4000001"))


def test_a_gap_over_a_promotion_is_named_on_both_timelines() -> None:
    history = History(2, ((1, parse_lsn("0/5000100")),))
    state = archive_state(runs_of({Segment(1, 3), Segment(2, 6)}), history, Geometry(), Segment(1, 3))
    assert [(gap.first, gap.last) for gap in state.gaps] == [
        (Segment(1, 4), Segment(1, 4)),
        (Segment(2, 5), Segment(2, 5)),
    ]
