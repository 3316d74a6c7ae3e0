"""An erasure from the preflight to the certificate: STEPS is the order of its steps, written only here.

Each step finds what an earlier attempt has done and adopts it: an attempt can be killed anywhere, and the
next one finishes. Nothing is destroyed before the tombstone, and nothing is certified while
something is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import certificates
from ops_platform.gdpr.certificates import Issued, map_store
from ops_platform.gdpr.erasure.checkpoints import At, Case, LineageCheckpoints, Log
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.erasure.steps import (
    Certify,
    EndRequest,
    EraseCache,
    EraseObjectsAndExports,
    EraseRows,
    Finish,
    NotifyProcessors,
    Preflight,
    RecordedErasure,
    State,
    Step,
    TakeInventory,
    VerifyAndAwaitLetters,
    WriteTombstone,
)
from ops_platform.gdpr.lineage import Effect, lineage_store

ERASING: tuple[Step[RecordedErasure], ...] = (EraseObjectsAndExports(), EraseRows(), EraseCache())
STEPS: tuple[Step[RecordedErasure], ...] = (
    Preflight(),
    WriteTombstone(),
    TakeInventory(),
    *ERASING,
    NotifyProcessors(),
    VerifyAndAwaitLetters(ERASING),
    Certify(),
    Finish(),
)


@dataclass(frozen=True)
class Outcome:
    """The effects of all attempts, and the certificate that states them."""

    effects: tuple[Effect, ...]
    certificate: Issued


@contextmanager
def opened(
    context: ErasureContext,
    ops: Connection,
    case: Case,
    *,
    finish: EndRequest = lambda ops, issued: None,
    enter: Callable[[str], None] = lambda step: None,
    at: At = lambda step, when: None,
    log: Log = lambda line: None,
) -> Iterator[RecordedErasure]:
    """Open the databases for an attempt at the subject's erasure, or at what earlier attempts left of it.

    ``ops`` is an autocommit connection; ``enter`` is told each step in the transaction that records the one
    before. The databases are closed at the end of the block.
    """
    map_store.keep(ops, context.data.data_map)  # certificate and lineage name it by its hash
    with context.data.connected() as (product, others):
        checkpoints = LineageCheckpoints(ops, case, context.data.data_map.version, enter, at, log)
        state = RecordedErasure(context.data, product, checkpoints, log, context, ops, case, finish)
        state.connections = others
        yield state


def outcome_of(state: RecordedErasure) -> Outcome:
    """Read the outcome of an erasure whose steps are all done."""
    return Outcome(tuple(state.checkpoints.totals()), state.certificate)


def attempt(steps: Iterable[Step[State]], state: State) -> None:
    """Run the steps in their order; pass over those that have nothing to do in this attempt."""
    for step in steps:
        if step.is_over(state):
            state.checkpoints.pass_over(step.name)
            step.adopt(state)
            continue
        state.checkpoints.begin(step.name)
        result = step.perform(state)
        state.checkpoints.finish(step.name, result.effects, result.details)


def outcome(ops: Connection, request_id: str) -> Outcome | None:
    """Read the outcome of a finished erasure; None when there is no certificate."""
    issued = certificates.find(ops, request_id)
    return (
        None
        if issued is None
        else Outcome(tuple(lineage_store.totals(lineage_store.lines(ops, request_id))), issued)
    )
