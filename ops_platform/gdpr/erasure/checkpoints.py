"""The course of one attempt at an erasure: which steps are done, and what each begins and ends with.

A step is done when its lineage says so; that is written in one transaction with what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.erasure.data_stores import Log
from ops_platform.gdpr.lineage import Effect, lineage_store
from ops_platform.gdpr.subject import Gone

At = Callable[[str, Literal["before", "after"]], None]
"""Told of each step, for tests that end the process there."""


@dataclass(frozen=True)
class Case:
    """``request_id`` is opaque. ``subject``: the key as text; ``email``: known from the request, or None.

    ``confirmed_at``: when the subject proved that the address was theirs.
    """

    request_id: str
    subject: str
    email: str | None = None
    run_id: str | None = None
    confirmed_at: datetime | None = None


class Course:
    """``done``: the steps that this attempt or an earlier one has finished."""

    def __init__(
        self,
        ops: Connection,
        case: Case,
        map_version: str,
        enter: Callable[[str], None],
        at: At,
        log: Log,
    ) -> None:
        """``ops`` is an autocommit connection; ``enter`` is told each step that begins."""
        self._ops, self._case, self._map_version = ops, case, map_version
        self._enter, self.at, self._log = enter, at, log
        self.done = set(lineage_store.steps(ops, case.request_id))

    def begin(self, step: str) -> None:
        self.at(step, "before")
        self._log(f"step: {step}")
        self._enter(step)

    def once(
        self, step: str, do: Callable[[], list[Effect]], details: Callable[[], dict[str, Any]] = dict
    ) -> None:
        """A step that changes data: what comes after it is found, and done, by the verification."""
        if step in self.done:
            self.at(step, "after")
            return
        self.begin(step)
        self.finish(step, do(), details())

    def finish(self, step: str, effects: Sequence[Effect], details: dict[str, Any] | None = None) -> None:
        if step not in self.done:
            self.record(step, effects, details)
            self.done.add(step)
        self.at(step, "after")

    def record(self, step: str, effects: Sequence[Effect], details: dict[str, Any] | None = None) -> None:
        with self._ops.transaction():
            self.append(step, effects, details)

    def append(
        self, step: str, effects: Sequence[Effect] = (), details: dict[str, Any] | None = None
    ) -> None:
        """In the caller's transaction."""
        lineage_store.record(
            self._ops,
            self._case.request_id,
            step,
            effects,
            run_id=self._case.run_id,
            map_version=self._map_version,
            details=details or {},
        )

    def gone(self) -> Gone | None:
        """Since when the subject's rows are gone; None: they have not been erased yet."""
        ended = lineage_store.ended(self._ops, self._case.request_id, "rows")
        if not ended:
            return None
        taken = [
            frozenset(one.details["taken"])
            for one in ended
            if one.map_version == self._map_version and "taken" in one.details
        ]
        return Gone(ended[0].recorded_at, frozenset.intersection(*taken) if taken else None)

    def totals(self) -> list[Effect]:
        """Of all attempts."""
        return lineage_store.totals(lineage_store.of(self._ops, self._case.request_id))
