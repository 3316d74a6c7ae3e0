"""Verify that nothing is left of the subject, and erase once more what has come meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from ops_platform.errors import CheckFailed
from ops_platform.gdpr import row_erasure
from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.steps.base import ErasureState, RecordedErasure, Result, State, Step
from ops_platform.gdpr.erasure.steps.destruction import EraseRows
from ops_platform.gdpr.erasure.steps.notification import await_letters
from ops_platform.gdpr.lineage import Effect

ROUNDS = 5
"""Verifications that may find something new: a subject may go on using the product meanwhile."""


class Verify(Step[State]):
    """Look through whatever the map names, then through every other column for the subject's identifiers.

    Raises CheckFailed when something comes back in each of ROUNDS rounds, or a column that the map does not
    name holds an identifier.
    """

    name = "verification"

    def __init__(
        self,
        again: Sequence[Step[State]],
        advice: str = "close the account in the product, then re-execute the run",
    ) -> None:
        """``again``: what erases what has come meanwhile. ``advice``: what to do when that never ends."""
        self._again, self._advice = again, advice

    def is_over(self, state: State) -> bool:
        return "certificate" in state.checkpoints.done

    def perform(self, state: State) -> Result:
        gone = state.checkpoints.gone()
        if gone is not None and gone.taken is None:
            _repeat(EraseRows(), state)  # the map has changed since
        for _ in range(ROUNDS):
            left = _left(state)
            if not left:
                break
            state.log(f"there is something new in {data_stores.places(left)}: once more")
            for step in self._again:
                _repeat(step, state)
        else:
            raise CheckFailed(f"{data_stores.places(left)} fill again while they are erased: {self._advice}")
        _refuse_residue(state)
        state.log("nothing is left: not in what the map names, and not in any other column")
        return Result(details={"remaining": 0, "residue_rows": 0})


class VerifyAndAwaitLetters(Verify[RecordedErasure]):
    """Verify that nothing is left and every processor is told. Raises NotYet while letters wait."""

    def perform(self, state: RecordedErasure) -> Result:
        verified = super().perform(state)
        return Result(await_letters(state), verified.details)


def _repeat(step: Step[State], state: State) -> None:
    result = step.perform(state)
    state.checkpoints.record(step.name, result.effects, result.details)


def _left(state: ErasureState) -> list[Effect]:
    """Count whatever the map names and is still there."""
    return [
        *row_erasure.remaining(state.product, state.data_map, state.catalogue, state.erasing()),
        *data_stores.objects_and_keys(state.stores, state.inventory_apart()),
    ]


def _refuse_residue(state: ErasureState) -> None:
    """Raises CheckFailed that names the columns where an identifier of the subject still stands."""
    residue = row_erasure.residue(state.product, state.data_map, state.catalogue, state.erasing())
    if not residue:
        return
    places = ", ".join(f"{one.table}.{one.column} ({one.rows} rows)" for one in residue)
    taken = state.names_taken()
    if taken:
        raise CheckFailed(
            f"the subject is still named in {places}, or another {state.data_map.subject.kind} who has their "
            f"{' and '.join(taken)} now, which nothing tells: look at these rows, and take the name out "
            "where it is the subject's, or until the erasure is complete; then re-execute the run"
        )
    raise CheckFailed(
        f"the subject is still named in {places}, which the map does not say: add it to the data map, "
        "then re-execute the run"
    )
