"""The step that verifies that nothing is left of the subject, and erases what has come since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ops_platform.errors import CheckFailed
from ops_platform.gdpr import row_erasure
from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.steps.base import ErasureState, RecordedErasure, Result, State, Step
from ops_platform.gdpr.erasure.steps.destruction import EraseRows
from ops_platform.gdpr.erasure.steps.notification import await_letters
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import RowErasure

ROUNDS = 5
"""How many rounds may find something new: the subject may go on using the product."""


class Verify(Step[State]):
    """Search all that the map names, then every other column for the subject's identifiers."""

    name = "verification"

    def __init__(
        self,
        again: Sequence[Step[State]],
        advice: str = "close the account in the product, then re-execute the run",
    ) -> None:
        """``again``: steps to repeat while anything is left. ``advice``: if that never ends."""
        self._again, self._advice = again, advice

    def is_over(self, state: State) -> bool:
        """Tell whether a certificate was issued: it is issued only after a verification."""
        return "certificate" in state.checkpoints.done

    def searches_for(self, state: State) -> RowErasure | None:
        """Describe the erasure of which nothing may be left; None where this attempt verifies nothing."""
        return None if self.is_over(state) else state.row_erasure()

    def perform(self, state: State) -> Result:
        """Verify, and repeat the steps of ``again`` while something is left.

        Raises CheckFailed when something comes back in each of ROUNDS rounds, or when a column that the map
        does not name holds an identifier.
        """
        first_erasure = state.checkpoints.first_erasure()
        if first_erasure is not None and first_erasure.reused_names is None:
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
        accepted = {
            database.data_map.place(f"{hit.table}.{hit.column}"): hit.rows
            for database in state.databases
            for hit in state.accepted.get(database.name, ())
        }
        for place, rows in accepted.items():
            state.log(f"accepted: the subject stays named in {rows} rows of {place}")
        about_others = state.about_others()
        state.log(_said(about_others["others_told_apart"]))
        return Result(
            details={
                "remaining": 0,
                "residue_rows": 0,
                "not_searched": state.not_searched(),
                **about_others,
                **({"accepted": accepted} if accepted else {}),
            }
        )


class VerifyAndAwaitLetters(Verify[RecordedErasure]):
    """Verify that nothing is left, and that every processor has been told."""

    def perform(self, state: RecordedErasure) -> Result:
        """Raise NotYet while letters wait, besides what ``Verify`` raises."""
        verified = super().perform(state)
        return Result(await_letters(state), verified.details)


def _said(told_apart: Mapping[str, Any]) -> str:
    """Say how others were told apart, in one line."""
    parts = [
        f"{words} {', '.join(told_apart[key])}"
        for key, words in (
            ("by_foreign_keys", "by foreign keys in"),
            ("by_data_map_only", "only by the data map in"),
            ("not_at_all", "not at all in"),
        )
        if told_apart[key]
    ]
    return f"others were told apart {'; '.join(parts)}. {told_apart['statement']}"


def _repeat(step: Step[State], state: State) -> None:
    state.joint.searches.clear()
    result = step.perform(state)
    state.checkpoints.record(step.name, result.effects, result.details)


def _left(state: ErasureState) -> list[Effect]:
    """Count what is left of all that the map names."""
    rows = [
        replace(effect, place=database.data_map.place(effect.place))
        for database in state.databases
        for effect in row_erasure.remaining(
            database.connection, database.data_map, database.catalogue, state.row_erasure_in(database)
        )
    ]
    return [
        *rows,
        *data_stores.objects_and_keys(state.stores, state.current_inventory()),
    ]


def _refuse_residue(state: ErasureState) -> None:
    """Raise CheckFailed, with the columns, when one still holds an identifier of the subject.

    Columns that the map accepts are set in ``state``.
    """
    left, state.accepted = list[str](), {}
    erasure = state.row_erasure()
    for database in state.databases:
        with database.named():
            found = state.joint.clean_search(database.name, erasure) or row_erasure.search(
                database.connection, database.data_map, database.catalogue, state.row_erasure_in(database)
            )
        state.accepted = {**state.accepted, database.name: found.accepted}
        left += [
            database.data_map.place(f"{column.table}.{column.column} ({column.rows} rows)")
            for column in found.left
        ]
    if not left:
        return
    places = ", ".join(left)
    reused_names = state.reused_names()
    if reused_names:
        raise CheckFailed(
            f"the subject is still named in {places}, or another {state.data_map.subject.kind} who has "
            f"their {' and '.join(reused_names)} now, and nothing says whose these rows are: look at them, "
            "remove the name where it is the subject's, else until the erasure is complete; then re-execute "
            "the run"
        )
    raise CheckFailed(
        f"the subject is still named in {places}, which the data map does not name: add them to it, "
        "then re-execute the run"
    )
