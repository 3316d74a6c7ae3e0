"""The checkpoints of one attempt at an erasure: which steps are done, and with what effects.

A step is done when its lineage says so; that line and the step's effects are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.lineage import Effect, Line, lineage_store
from ops_platform.gdpr.subject import FirstErasure

At = Callable[[str, Literal["before", "after"]], None]
"""Called before and after each step, for tests that end the process there."""
Log = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One erasure: its request and its subject.

    ``request_id`` is opaque. ``subject``: the key as text; ``email``: known from the request, or None.

    ``confirmed_at``: when the subject proved that the address was theirs.
    """

    request_id: str
    subject: str
    email: str | None = None
    run_id: str | None = None
    confirmed_at: datetime | None = None


class Checkpoints(Protocol):
    """The memory of an erasure. ``done``: the steps that this attempt or an earlier one has finished."""

    done: set[str]

    def begin(self, step: str) -> None:
        """Note that the step begins."""

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Record the step and its effects, unless it is done already."""

    def pass_over(self, step: str) -> None:
        """Note that the step has nothing to do in this attempt."""

    def record(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Record a step's effects, whether it is done already or not."""

    def first_erasure(self) -> FirstErasure | None:
        """Find the first complete erasure of the subject's rows; None before its end."""

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
        """``ops`` is an autocommit connection; ``enter`` is called with each step that begins."""
        self._ops, self._case, self._map_version = ops, case, map_version
        self._enter, self._at, self._log = enter, at, log
        self.done = set(lineage_store.completed_steps(ops, case.request_id))

    def begin(self, step: str) -> None:
        """Log that the step begins, and call ``enter``."""
        self._at(step, "before")
        self._log(f"step: {step}")
        self._enter(step)

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Record the step and its effects, unless it is done already."""
        if step not in self.done:
            self.record(step, effects, details)
            self.done.add(step)
        self._at(step, "after")

    def pass_over(self, step: str) -> None:
        """Call ``at`` only: the step is recorded already."""
        self._at(step, "after")

    def record(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Record a step and its effects in a transaction of its own."""
        with self._ops.transaction():
            self.append(step, effects, details)

    def append(
        self, step: str, effects: Sequence[Effect] = (), details: Mapping[str, Any] | None = None
    ) -> None:
        """Record a step in the caller's transaction."""
        lineage_store.record(
            self._ops,
            self._case.request_id,
            step,
            effects,
            run_id=self._case.run_id,
            map_version=self._map_version,
            details=details or {},
        )

    def first_erasure(self) -> FirstErasure | None:
        """Read the first completion of the step ``rows``.

        A later completion with the same map narrows down the identifiers that others had by then.
        """
        completions = lineage_store.completions(self._ops, self._case.request_id, "rows")
        if not completions:
            return None
        reused_names = [
            frozenset(completion.details["taken"])
            for completion in completions
            if completion.map_version == self._map_version and "taken" in completion.details
        ]
        return FirstErasure(
            completions[0].recorded_at, frozenset.intersection(*reused_names) if reused_names else None
        )

    def totals(self) -> list[Effect]:
        """Sum up the effects of all attempts at this request."""
        return lineage_store.totals(lineage_store.lines(self._ops, self._case.request_id))


@dataclass
class NoCheckpoints:
    """Checkpoints of an erasure without a record: each attempt carries out every step again."""

    done: set[str] = field(default_factory=set)
    _lines: list[Line] = field(default_factory=list)

    def begin(self, step: str) -> None:
        """Do nothing."""
        pass

    def finish(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Keep the effects in memory."""
        self.record(step, effects, details)

    def pass_over(self, step: str) -> None:
        """Do nothing."""
        pass

    def record(self, step: str, effects: Sequence[Effect], details: Mapping[str, Any]) -> None:
        """Keep the effects in memory."""
        now = datetime.now(UTC)
        self._lines += [Line(step, effect, None, None, now) for effect in effects]

    def first_erasure(self) -> FirstErasure | None:
        """Return None: nothing is remembered."""
        return None

    def totals(self) -> list[Effect]:
        """Sum up the effects of this attempt."""
        return lineage_store.totals(self._lines)
