"""What must come before what among the steps of an erasure, and an order that keeps to it.

Pure: no database, no map; what the steps are and why they follow one another is ``plan``'s.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ops_platform.gdpr.schema import Name, Reference


@dataclass(frozen=True)
class Edge:
    """The step ``before`` must come before the step ``after``, both by number.

    ``reference``: because rows refer to rows that go by this foreign key; None: because rows are found
    through rows that change. ``left_to``: the role that deletes those rows anyway, if ``after`` leaves them.
    """

    before: int
    after: int
    reference: Reference | None = None
    left_to: str | None = None


def circle(size: int, edges: Sequence[Edge]) -> list[list[Edge]]:
    """Find a circle among steps 0 to ``size`` - 1: its edges, by the pair that they link. Empty: none."""
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(range(size), ()))
    for edge in edges:
        sorter.add(edge.after, edge.before)
    try:
        sorter.prepare()
    except CycleError as error:
        # It lists each step before its successor, and the first again at the end.
        by_pair = _by_pair(edges)
        return [by_pair[pair] for pair in itertools.pairwise(error.args[1])]
    return []


def in_order(tables: Sequence[Name], edges: Sequence[Edge], first: Iterable[int] = ()) -> list[int]:
    """Sort steps, which are in no circle; those of one table stay together and in their order if they can.

    ``tables``: the table of each step. ``first``: steps that come as early as they can.
    """
    ranks, early = _ranks(tables, edges), set(first)
    waits_for = {number: set[int]() for number in range(len(tables))}
    followers: dict[int, set[int]] = defaultdict(set)
    for edge in edges:
        waits_for[edge.after].add(edge.before)
        followers[edge.before].add(edge.after)

    def key(number: int) -> tuple[bool, int, int]:
        return number not in early, ranks[tables[number]], number

    ready = [key(number) for number, others in waits_for.items() if not others]
    heapq.heapify(ready)
    ordered = []
    while ready:
        number = heapq.heappop(ready)[2]
        ordered.append(number)
        for follower in followers[number]:
            waits_for[follower].remove(number)
            if not waits_for[follower]:
                heapq.heappush(ready, key(follower))
    return ordered


def _by_pair(edges: Iterable[Edge]) -> Mapping[tuple[int, int], list[Edge]]:
    by_pair: dict[tuple[int, int], list[Edge]] = defaultdict(list)
    for edge in edges:
        by_pair[edge.before, edge.after].append(edge)
    return by_pair


def _ranks(tables: Sequence[Name], edges: Iterable[Edge]) -> Mapping[Name, int]:
    """Rank the tables so that most steps come before those that must follow them."""
    arcs = dict.fromkeys(
        sorted(
            (tables[edge.before], tables[edge.after])
            for edge in edges
            if tables[edge.before] != tables[edge.after]
        )
    )
    while True:
        try:
            return {name: rank for rank, name in enumerate(_sorted(tables, arcs))}
        except CycleError as error:
            # Steps of the two take turns.
            del arcs[min(itertools.pairwise(error.args[1]))]


def _sorted(tables: Iterable[Name], arcs: Iterable[tuple[Name, Name]]) -> Iterator[Name]:
    sorter: TopologicalSorter[Name] = TopologicalSorter()
    for name in sorted(set(tables)):
        sorter.add(name)
    for before, after in arcs:
        sorter.add(after, before)
    yield from sorter.static_order()
