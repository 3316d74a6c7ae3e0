"""The checkpoints of one attempt at an erasure: which steps are done, and what each begins and ends with.

A step is done when its lineage says so; that is written in one transaction with what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.lineage import Effect, Line, lineage_store
from ops_platform.gdpr.subject import Gone

At = Callable[[str, Literal["before", "after"]], None]
"""Told of each step, for tests that end the process there."""
Log = Callable[[str], None]


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


class Checkpoints(Protocol):
    """Remember the steps that are done. ``done``: those that this attempt or an earlier one has finished."""

    done: set[str]

    def begin(self, step: str) -> None:
        """Note that the step begins."""

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Record the step with what it did, unless it is done already."""

    def pass_over(self, step: str) -> None:
        """Note that the step needs nothing in this attempt."""

    def record(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Record what a step did, be it done already or not."""

    def gone(self) -> Gone | None:
        """Say since when the subject's rows are gone; None: they have not been erased yet."""

    def totals(self) -> list[Effect]:
        """Sum up the effects of all attempts."""


class LineageCheckpoints:
    """Checkpoints in the lineage of the request, in the ops database."""

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
        self._enter, self._at, self._log = enter, at, log
        self.done = set(lineage_store.steps(ops, case.request_id))

    def begin(self, step: str) -> None:
        self._at(step, "before")
        self._log(f"step: {step}")
        self._enter(step)

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        if step not in self.done:
            self.record(step, effects, details)
            self.done.add(step)
        self._at(step, "after")

    def pass_over(self, step: str) -> None:
        self._at(step, "after")

    def record(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        with self._ops.transaction():
            self.append(step, effects, details)

    def append(
        self, step: str, effects: Sequence[Effect] = (), details: Mapping[str, Any] | None = None
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
        return lineage_store.totals(lineage_store.of(self._ops, self._case.request_id))


@dataclass
class NoCheckpoints:
    """Checkpoints of an erasure that nothing remembers: each attempt does every step again."""

    done: set[str] = field(default_factory=set)
    _lines: list[Line] = field(default_factory=list)

    def begin(self, step: str) -> None:
        pass

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        self.record(step, effects, details)

    def pass_over(self, step: str) -> None:
        pass

    def record(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        self._lines += [Line(step, effect, None, None, now) for effect in effects]

    def gone(self) -> Gone | None:
        return None

    def totals(self) -> list[Effect]:
        return lineage_store.totals(self._lines)
