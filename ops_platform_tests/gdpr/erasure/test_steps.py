"""The steps of an erasure: their order, and that each adopts what an earlier attempt did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import command_line, pipeline
from ops_platform.gdpr.erasure.checkpoints import NoCheckpoints
from ops_platform.gdpr.erasure.command_line import UnrecordedErasure
from ops_platform.gdpr.erasure.steps.base import ErasureState, RecordedErasure, Result, Step
from ops_platform.gdpr.lineage import lineage_store as lineage
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.subject import other_kinds
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.gdpr.subject.other_kinds import Theirs
from ops_platform_tests.gdpr.erasure.test_pipeline import is_erased
from ops_platform_tests.gdpr.erasure_scene import Scene, work_on
from ops_platform_tests.gdpr.single_erasures import erase_without_tombstone

STEPS = [
    "preflight",
    "tombstone",
    "inventory",
    "objects",
    "rows",
    "cache",
    "processors",
    "verification",
    "certificate",
    "done",
]
SEEN = Effect("redis", "creator:{id}:*", "owner", "delete", 2, 2, 0)


class Killed(Exception):
    """In place of a signal: nothing catches it on the way."""


class Recorded(NoCheckpoints):
    """Checkpoints that write down what they are told."""

    def __init__(self, *done: str) -> None:
        super().__init__(set(done))
        self.told: list[str] = []

    def begin(self, step: str) -> None:
        self.told.append(f"{step} begins")

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        super().finish(step, effects, details)
        self.done.add(step)
        self.told.append(f"{step} ends")

    def pass_over(self, step: str) -> None:
        self.told.append(f"{step} is over")


class Once(Step[ErasureState]):
    """A step that notes what is asked of it."""

    name = "first"
    once = True

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def perform(self, state: ErasureState) -> Result:
        self.told.append(f"{self.name} performed")
        return Result([SEEN])

    def adopt(self, state: ErasureState) -> None:
        self.told.append(f"{self.name} adopted")


class Always(Once):
    name = "second"
    once = False


def attempt(checkpoints: Recorded) -> list[str]:
    nothing = cast(Any, None)
    state = UnrecordedErasure(nothing, nothing, checkpoints, lambda line: None, "7")
    pipeline.attempt((Once(checkpoints.told), Always(checkpoints.told)), state)
    return checkpoints.told


def test_the_order_of_an_erasure() -> None:
    assert [step.name for step in pipeline.STEPS] == STEPS


def test_the_order_of_an_erasure_that_nothing_remembers() -> None:
    assert [type(step).__name__ for step in command_line.STEPS_WITHOUT_TOMBSTONE] == [
        "FindSubject",
        "KeepInventory",
        "EraseObjects",
        "EraseCache",
        "EraseRows",
        "EraseCache",
        "Verify",
        "ForgetProgress",
    ]


def test_each_step_begins_is_performed_and_ends_before_the_next() -> None:
    checkpoints = Recorded()
    assert attempt(checkpoints) == [
        "first begins",
        "first performed",
        "first ends",
        "second begins",
        "second performed",
        "second ends",
    ]
    assert checkpoints.totals() == [Effect("redis", "creator:{id}:*", "owner", "delete", 2, 4, 0)]


def test_a_step_that_is_over_is_adopted() -> None:
    assert attempt(Recorded("first", "second")) == [
        "first is over",
        "first adopted",
        "second begins",
        "second performed",
        "second ends",
    ]


def test_what_a_step_has_not_found_yet_cannot_be_read() -> None:
    state = UnrecordedErasure(cast(Any, None), cast(Any, None), Recorded(), lambda line: None, "7")
    with pytest.raises(AttributeError, match="subject"):
        _ = state.subject
    assert "7" not in repr(state).rpartition("object at")[0]


@pytest.mark.services
def test_each_step_adopts_what_earlier_attempts_did(place: Scene) -> None:
    """One attempt a step, each ended behind the next step: every step is recorded once, in this order."""
    before, request_id = place.others(), place.request()

    def end_behind(step: str) -> None:
        def at(reached: str, when: str) -> None:
            if (reached, when) == (step, "after"):
                raise Killed

        with pytest.raises(Killed):
            work_on(place.ops_url, request_id, place.context, at=at)
        place.at_once()

    for number, step in enumerate(STEPS[:-1], 1):
        end_behind(step)
        assert lineage.completed_steps(place.requests.worker, request_id) == STEPS[:number]
    work_on(place.ops_url, request_id, place.context)
    assert lineage.completed_steps(place.requests.worker, request_id)[: len(STEPS)] == STEPS
    is_erased(place, request_id)
    assert place.others() == before


@pytest.mark.services
@pytest.mark.full
def test_what_nothing_remembers_is_ended_by_a_second_attempt(
    place: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended behind each step but the last, which forgets it: the next attempt finds what is left."""
    before, steps = place.others(), command_line.STEPS_WITHOUT_TOMBSTONE

    class Ends(Step[ErasureState]):
        name = "ends"

        def perform(self, state: ErasureState) -> Result:
            raise Killed

    stores, key = place.context().data, str(place.who)
    for number in range(1, len(steps)):
        monkeypatch.setattr(command_line, "STEPS_WITHOUT_TOMBSTONE", (*steps[:number], Ends()))
        with pytest.raises(Killed):
            erase_without_tombstone(stores, key, lambda line: None)
        assert place.others() == before
    monkeypatch.setattr(command_line, "STEPS_WITHOUT_TOMBSTONE", steps)
    assert erase_without_tombstone(stores, key, lambda line: None) is not None
    assert erase_without_tombstone(stores, key, lambda line: None) is None
    assert place.residue() == []
    assert (place.rows_of(), place.objects(place.who), place.keys(place.who)) == (0, 0, 0)
    assert sum(1 for _ in place.cache.keys("handle:")) == 0
    assert place.others() == before


@pytest.mark.services
def test_who_goes_on_using_the_product_is_erased_without_a_tombstone_too(place: Scene) -> None:
    def log(line: str) -> None:
        if "rows changed" in line:
            place.cache.set_many({f"creator:{place.who}:page": "anew"})
            place.media.put(f"creators/{place.who}/new.jpg", b"new")

    assert erase_without_tombstone(place.context().data, str(place.who), log) is not None
    assert (place.objects(place.who), place.keys(place.who)) == (0, 0)


def test_names_that_others_have_are_said_to_be_searched_for_in_part(
    demo_map: DataMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = Identity({"id": uuid4(), "handle": "anna.w", "email": "anna@example.org", "full_name": "Al"})
    state = RecordedErasure.__new__(RecordedErasure)
    state.stores = cast(Any, SimpleNamespace(data_map=demo_map))
    state.product, state.catalogue = cast(Any, None), cast(Any, None)
    erasing = SimpleNamespace(identities=(who,))
    monkeypatch.setattr(RecordedErasure, "row_erasure", lambda _: erasing)
    monkeypatch.setattr(RecordedErasure, "reused_names", lambda _: ["full_name", "handle"])
    monkeypatch.setattr(other_kinds, "find", lambda *_: (Theirs("anna@example.org"),))
    said = state.not_searched()
    assert [*said] == ["email", "full_name", "handle"]
    assert said["email"].startswith("a person of another kind has it")
    assert said["handle"].startswith("somebody else has it now")
    assert said["full_name"].endswith(f", or {said['handle']}")
