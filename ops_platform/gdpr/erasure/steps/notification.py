"""The step that tells the processors by letter, and the wait until the letters have left."""

from __future__ import annotations

import contextlib

from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.gdpr.erasure import data_stores, processor_notices
from ops_platform.gdpr.erasure.steps.base import RecordedErasure, Result, Step
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.requests import work_queue


class NotifyProcessors(Step[RecordedErasure]):
    """Put a letter to each processor into the outbox."""

    name = "processors"
    once = True

    def perform(self, state: RecordedErasure) -> Result:
        """Return an effect for each processor."""
        return Result(_write_letters(state))


def await_letters(state: RecordedErasure) -> list[Effect]:
    """Wait until all letters have left, and return their effects. Raises NotYet after ``letter_seconds``."""
    ops, data_map, request_id = state.ops, state.data_map, state.case.request_id

    def have_left() -> bool:
        return not processor_notices.remaining(ops, data_map, request_id)

    if not have_left():
        _write_letters(state)  # one that was given up is written anew
        with contextlib.suppress(Unavailable):
            wait_until(have_left, state.context.letter_seconds, "letters leave", interval=0.5)
    if not have_left():
        waiting = data_stores.places(processor_notices.remaining(ops, data_map, request_id))
        raise work_queue.NotYet(
            f"the letter to {waiting} has not left yet: is the agent running, and the mail server?"
        )
    return processor_notices.effects(ops, data_map, request_id)


def _write_letters(state: RecordedErasure) -> list[Effect]:
    with state.ops.transaction():
        return processor_notices.write(
            state.ops, state.data_map, state.inventory, state.case.request_id, state.context.clock()
        )
