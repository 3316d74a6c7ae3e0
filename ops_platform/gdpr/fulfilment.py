"""Fulfilment of a confirmed request: claim it, carry it out, complete it. No Dagster.

The caller, a job or a test, gives the request's id and a function that opens the connections and settings
which the work needs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import export
from ops_platform.gdpr.certificates import Issued, map_store
from ops_platform.gdpr.erasure import completion_mail as farewell
from ops_platform.gdpr.erasure import joint_erasure, pipeline
from ops_platform.gdpr.erasure.checkpoints import At, Case, Log
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.erasure.joint_erasure import Member
from ops_platform.gdpr.erasure.steps import RecordedErasure
from ops_platform.gdpr.export import ExportContext
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.requests import Claim, NotClaimed, work_queue


@dataclass(frozen=True)
class Done:
    """A request that was worked on; ``error``: what has ended the attempt, None when it is completed."""

    request_id: str
    error: Exception | None


def erase_with_waiting(
    ops_url: str,
    request_id: str,
    run_id: str | None,
    opening: Callable[[], ErasureContext],
    *,
    log: Log = lambda line: None,
    at: At = lambda step, when: None,
) -> list[Done]:
    """Erase the subject of a request and, at its first attempt, those of others that wait for theirs.

    Each is claimed, erased and completed by itself; they share the searches, see ``joint_erasure``. A request
    that was tried before is worked on alone. The request itself comes first. Raises NotClaimed or GivenUp for
    it, or what ``opening`` raises; all else is in the answer, and the failed attempt on record.
    """
    with ExitStack() as unbegun:
        claims = [_claimed(unbegun, ops_url, request_id, run_id)]
        context = opening()
        with closing(context.data):
            _, ops, claim = claims[0]
            for waiting in work_queue.untried(ops, "erasure", _now()) if claim.attempt == 1 else ():
                if len(claims) < joint_erasure.MOST:
                    with suppress(NotClaimed):
                        claims.append(_claimed(unbegun, ops_url, waiting.request_id, run_id))
            members = [_member(*claimed, context, log, at) for claimed in claims]
            unbegun.pop_all()  # from here on, each ends by itself
            joint_erasure.run(members)
    return [Done(member.state.case.request_id, member.error) for member in members]


def _claimed(
    unbegun: ExitStack, ops_url: str, request_id: str, run_id: str | None
) -> tuple[ExitStack, Connection, Claim]:
    """Claim a request until the stack that is returned closes. Raises NotClaimed or GivenUp."""
    opened = ExitStack()
    ops, claim = opened.enter_context(work_queue.claimed(ops_url, request_id, "erasure", run_id, _now))
    unbegun.push(opened)
    return opened, ops, claim


def _member(
    opened: ExitStack, ops: Connection, claim: Claim, context: ErasureContext, log: Log, at: At
) -> Member[RecordedErasure]:
    state = opened.enter_context(
        pipeline.opened(
            context,
            ops,
            _case(claim),
            finish=lambda ops, issued: _finish(ops, claim, context, issued),
            enter=lambda step: work_queue.enter(ops, claim, step, context.data.data_map.version),
            at=at,
            log=lambda line: log(f"request {claim.request_id}: {line}"),
        )
    )
    return Member(state, pipeline.STEPS, opened)


def _case(claim: Claim) -> Case:
    return Case(claim.request_id, str(claim.subject), claim.email or None, claim.run_id, claim.verified_at)


def _finish(ops: Connection, claim: Claim, context: ErasureContext, issued: Issued) -> None:
    """Complete the request, in the transaction that ends the erasure."""
    if claim.email:
        farewell.write(ops, claim.language, claim.email, issued, context.clock())
    work_queue.complete(ops, claim, context.clock())


def export_data(
    ops_url: str,
    request_id: str,
    run_id: str | None,
    opening: Callable[[], ExportContext],
    *,
    log: Log = lambda line: None,
) -> None:
    """Claim an export request, write the export and complete the request.

    ``opening`` is called once the request is claimed. Raises NotClaimed, GivenUp, or what ``export.run``
    raises; the failed attempt is then on record.
    """
    with work_queue.claimed(ops_url, request_id, "export", run_id, _now) as (ops, claim):
        context = opening()
        version = context.data_map.version
        map_store.keep(ops, context.data_map)
        work_queue.enter(ops, claim, "export", version)
        effects = export.run(context, request_id, lambda place, count: log(f"{place}: {count} written"))
        with ops.transaction():
            lineage_store.record(ops, request_id, "export", effects, run_id=run_id, map_version=version)
            work_queue.complete(ops, claim, context.clock())


def _now() -> datetime:
    return datetime.now(UTC)
