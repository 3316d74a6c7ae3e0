"""Several erasures at once: the searches before and after go through each table once, all else is apart.

Each has its own tombstone, verdict and certificate, and an error ends none but its own. What the searches
found is kept in memory only: a killed erasure goes on as if it had been alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Generic

import psycopg

from ops_platform.audit import ledger
from ops_platform.errors import CheckFailed, OpsError
from ops_platform.gdpr import row_erasure
from ops_platform.gdpr.erasure import pipeline
from ops_platform.gdpr.erasure.steps import ErasureState, State, Step, Verify
from ops_platform.gdpr.row_erasure import RowErasure

MOST = 10
"""Erasures at once: each has connections of its own, and the last waits for all before it."""


@dataclass(repr=False)
class Member(Generic[State]):
    """One of the erasures. ``opened``: what ends with it, and is told its error.

    ``begin``: opens what more it needs when its work begins. ``report``: says what was done, at the end; the
    answer is ``result``.
    """

    state: State
    steps: Sequence[Step[State]]
    opened: ExitStack
    begin: Callable[[], AbstractContextManager[Any]] = nullcontext
    report: Callable[[State], Any] = lambda state: None
    result: Any = field(init=False, default=None)
    _raised: tuple[Exception, ...] = field(init=False, default=())
    _is_over: bool = field(init=False, default=False)

    @property
    def first_search(self) -> Step[State]:
        """The step that searches before anything is destroyed."""
        return self.steps[0]

    @property
    def last_search(self) -> Step[State]:
        """The step that searches when all is erased."""
        return self.steps[min(self._half(), len(self.steps) - 1)]

    @property
    def is_over(self) -> bool:
        """Whether it is done, or has ended with an error."""
        return self._is_over

    @property
    def error(self) -> Exception | None:
        """What has ended it."""
        return next(iter(self._raised), None)

    def erase(self) -> None:
        """Carry out the steps until the verification; keep the error that ends them."""
        with self._turn():
            self.opened.enter_context(self.begin())
            pipeline.attempt(self.steps[: self._half()], self.state)

    def conclude(self) -> None:
        """Carry out the steps from the verification on; keep the error that ends them."""
        if not self.is_over:
            with self._turn():
                pipeline.attempt(self.steps[self._half() :], self.state)
                self.result = self.report(self.state)
        if not self.is_over:
            with self._turn():
                self._is_over = True
                self.opened.close()

    def _half(self) -> int:
        searching = (number for number, step in enumerate(self.steps) if isinstance(step, Verify))
        return next(searching, len(self.steps))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Tell what is open of an error of the block, and keep it; otherwise all stays open."""
        try:
            with ExitStack() as failing:
                failing.push(self.opened)
                yield
                failing.pop_all()
        except Exception as error:
            self._is_over, self._raised = True, (error,)


def run(members: Sequence[Member[State]]) -> None:
    """Erase each, one after another; ``error`` says of each how it ended.

    What is no Exception, such as an interrupt, ends all of them and is raised.
    """
    with ExitStack() as interrupted:
        for member in members:
            interrupted.push(member.opened)
        _foresee(members)
        for member in members:
            member.erase()
        _search([member for member in members if not member.is_over])
        for member in members:
            member.conclude()
        interrupted.pop_all()


class Later(Exception):
    """The key is one of those that are being erased already: its turn is after theirs."""


@dataclass(frozen=True)
class Ended:
    """How the erasure of one key ended: a ``result``, an ``error``, or neither: there is no such subject."""

    result: Any = None
    error: Exception | None = None


def each(
    keys: Sequence[str], opening: Callable[[int, str, ExitStack], Member[Any] | None]
) -> Iterator[Ended]:
    """Erase the subjects of all keys, some at once, and say of each in their order how it ended.

    ``opening`` makes the member of a key by its place, from 0, with what it opens on the stack; None: no such
    subject. It may raise Later. After an error that is no CheckFailed no more are begun.
    """
    begun = 0
    while begun < len(keys):
        ended: dict[int, Ended] = {}
        members: dict[int, Member[Any]] = {}
        with ExitStack() as unbegun:
            for place in range(begun, min(begun + MOST, len(keys))):
                opened = ExitStack()
                try:
                    with ExitStack() as failing:
                        failing.push(opened)
                        member = opening(place, keys[place], opened)
                        failing.pop_all()
                except Later:
                    break
                except Exception as error:
                    raised = (error,)
                    ended[place] = Ended(None, *raised)
                    continue
                if member is None:
                    opened.close()
                    ended[place] = Ended()
                else:
                    unbegun.push(opened)
                    members[place] = member
            unbegun.pop_all()  # from here on, each ends by itself
        run([*members.values()])
        ended |= {place: Ended(member.result, member.error) for place, member in members.items()}
        begun += len(ended)
        for _, one in sorted(ended.items()):
            yield one
        if any(one.error is not None and not isinstance(one.error, CheckFailed) for one in ended.values()):
            return


def _foresee(members: Sequence[Member[State]]) -> None:
    """Search for what the erasures would leave, before the first begins."""
    wanted = _wanted([(member.state, member.first_search) for member in members])
    for place, [leader, *_] in enumerate(zip(*(state.databases for state, _ in wanted), strict=True)):
        erasures = [replace(erasure, home=state.databases[place].home) for state, erasure in wanted]
        with _tried(wanted[0][0]):
            found = row_erasure.foresee_each(leader.connection, leader.data_map, leader.catalogue, erasures)
            for (state, erasure), foresight in zip(wanted, found, strict=True):
                state.joint.foresights[leader.name] = erasure, foresight


def _search(members: Sequence[Member[State]]) -> None:
    """Search for what the erasures have left, when all have erased what the map names."""
    wanted = _wanted([(member.state, member.last_search) for member in members])
    for place, [leader, *_] in enumerate(zip(*(state.databases for state, _ in wanted), strict=True)):
        erasures = [state.row_erasure_in(state.databases[place]) for state, _ in wanted]
        with _tried(wanted[0][0]):
            found = row_erasure.search_each(leader.connection, leader.data_map, leader.catalogue, erasures)
            for (state, erasure), searched in zip(wanted, found, strict=True):
                state.joint.searches[leader.name] = erasure, searched


def _wanted(looking: Sequence[tuple[State, Step[State]]]) -> list[tuple[ErasureState, RowErasure]]:
    """Describe the erasures to search for, those of two subjects at least; else each searches alone."""
    wanted = list[tuple[ErasureState, RowErasure]]()
    for state, step in looking if len(looking) > 1 else ():
        # An error is that subject's own: its step meets it again.
        with _tried(state):
            erasure = step.searches_for(state)
            if erasure is not None:
                wanted.append((state, erasure))
    return wanted if len(wanted) > 1 else []


@contextmanager
def _tried(state: ErasureState) -> Iterator[None]:
    """Let an error of outside systems mean that each subject is searched for alone, by its own step."""
    try:
        yield
    except (OpsError, psycopg.Error) as error:
        state.log(f"not searched for together with other subjects, but alone: {ledger.reason(error)}")
