"""The turns of several erasures: who fails ends alone, who is interrupted ends all, a key at work waits."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.gdpr.erasure import joint_erasure
from ops_platform.gdpr.erasure.command_line import UnrecordedErasure
from ops_platform.gdpr.erasure.joint_erasure import Member
from ops_platform.gdpr.erasure.steps.base import ErasureState, JointResults, Result, Step
from ops_platform.gdpr.erasure.steps.verification import Verify
from ops_platform.gdpr.row_erasure import Searched
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.row_erasure.foresight import Foresight
from ops_platform.gdpr.row_erasure.residue_scan import Residue
from ops_platform.gdpr.schema import Name
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.gdpr.erasing import CUTOFF
from ops_platform_tests.gdpr.erasure.test_steps import Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

Told = list[str]


class Works(Step[ErasureState]):
    name = "works"

    def __init__(self, told: Told, error: BaseException | None = None) -> None:
        self.told, self.error = told, error

    def perform(self, state: ErasureState) -> Result:
        self.told.append(f"{cast(UnrecordedErasure, state).key} {self.name}")
        if self.error is not None:
            raise self.error
        return Result()


class Verifies(Verify[ErasureState]):
    def __init__(self, told: Told) -> None:
        super().__init__(())
        self.told = told

    def searches_for(self, state: ErasureState) -> RowErasure | None:
        return None

    def perform(self, state: ErasureState) -> Result:
        self.told.append(f"{cast(UnrecordedErasure, state).key} verified")
        return Result()


def member(told: Told, key: str, error: BaseException | None = None) -> Member[UnrecordedErasure]:
    @contextmanager
    def open_() -> Iterator[None]:
        try:
            yield
        except BaseException as raised:
            told.append(f"{key} told of {type(raised).__name__}")
            raise
        told.append(f"{key} closed")

    opened = ExitStack()
    opened.enter_context(open_())
    state = UnrecordedErasure(cast(Any, None), cast(Any, None), Recorded(), lambda line: None, key)
    return Member(state, (Works(told, error), Verifies(told)), opened, report=lambda state: state.key)


def test_one_that_is_refused_ends_alone_and_at_once() -> None:
    told: Told = []
    refused = CheckFailed("no")
    members = [member(told, "1"), member(told, "2", refused), member(told, "3")]
    joint_erasure.run(members)
    assert [(one.result, one.error) for one in members] == [("1", None), (None, refused), ("3", None)]
    assert told == [
        "1 works",
        "2 works",
        "2 told of CheckFailed",
        "3 works",
        "1 verified",
        "1 closed",
        "3 verified",
        "3 closed",
    ]


def test_an_interrupt_ends_all() -> None:
    told: Told = []
    members = [member(told, "1"), member(told, "2", KeyboardInterrupt()), member(told, "3")]
    with pytest.raises(KeyboardInterrupt):
        joint_erasure.run(members)
    assert sorted(told[2:]) == [f"{key} told of KeyboardInterrupt" for key in "123"]


def test_keys_come_in_turns_and_one_that_is_at_work_waits() -> None:
    told: Told = []
    at_work: set[str] = set()

    def opening(place: int, key: str, opened: ExitStack) -> Member[Any] | None:
        if key in at_work:
            raise joint_erasure.Later
        if key == "nobody":
            return None
        if key == "wrong":
            raise CheckFailed("no key")
        at_work.add(key)
        made = member(told, key)
        made.opened.callback(at_work.discard, key)
        opened.push(made.opened.pop_all())
        return Member(made.state, made.steps, opened, report=made.report)

    ended = [*joint_erasure.each(["1", "nobody", "wrong", "2", "1"], opening)]
    assert [(one.result, str(one.error or "")) for one in ended] == [
        ("1", ""),
        (None, ""),
        (None, "no key"),
        ("2", ""),
        ("1", ""),
    ]
    assert told[:6] == ["1 works", "2 works", "1 verified", "1 closed", "2 verified", "2 closed"]


def test_after_an_error_of_outside_systems_no_more_are_begun() -> None:
    told: Told = []

    def opening(place: int, key: str, opened: ExitStack) -> Member[Any] | None:
        if place == 1:
            raise Unavailable("away")
        made = member(told, key)
        opened.push(made.opened.pop_all())
        return Member(made.state, made.steps, opened, report=made.report)

    keys = [str(number) for number in range(3 * joint_erasure.MOST)]
    assert len([*joint_erasure.each(keys, opening)]) == joint_erasure.MOST


def test_a_joint_search_stands_only_for_the_same_erasure_and_when_it_found_nothing() -> None:
    erasure = RowErasure("one", Identity({"id": 1}), CUTOFF)
    changed = RowErasure("one", Identity({"id": 1, "email": "a@example.org"}), CUTOFF)
    clean = Searched((), (Residue(Name("public", "logs"), "line", 1),))
    found = Searched((Residue(Name("public", "notes"), "body", 1),), ())
    joint = JointResults({"": (erasure, Foresight((), ()))}, {"": (erasure, clean), "crm": (erasure, found)})
    assert joint.foresight("", erasure) is not None
    assert joint.foresight("", changed) is None
    assert joint.foresight("crm", erasure) is None
    assert joint.clean_search("", erasure) == clean
    assert joint.clean_search("", changed) is None
    assert joint.clean_search("crm", erasure) is None
