"""Fulfilment of a confirmed request: claim it, carry it out, complete it. No Dagster.

The caller, a job or a test, gives the request's id and a function that opens the connections and settings
which the work needs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import export
from ops_platform.gdpr.certificates import Issued, map_store
from ops_platform.gdpr.erasure import completion_mail as farewell
from ops_platform.gdpr.erasure import pipeline
from ops_platform.gdpr.erasure.checkpoints import At, Case, Log
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.export import ExportContext
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.requests import Claim, work_queue


def erase(
    ops_url: str,
    request_id: str,
    run_id: str | None,
    opening: Callable[[], ErasureContext],
    *,
    log: Log = lambda line: None,
    at: At = lambda step, when: None,
) -> None:
    """Claim an erasure request, erase the subject and complete the request.

    ``opening`` is called once the request is claimed; what it opened is closed in every case. Raises
    NotClaimed, GivenUp, NotYet, or what ``pipeline.run`` raises; the failed attempt is then on record.
    """
    with work_queue.claimed(ops_url, request_id, "erasure", run_id, _now) as (ops, claim):
        context = opening()
        try:
            _erase(ops, claim, context, log, at)
        finally:
            context.data.close()


def _erase(ops: Connection, claim: Claim, context: ErasureContext, log: Log, at: At) -> None:
    def finish(ops: Connection, issued: Issued) -> None:
        if claim.email:
            farewell.write(ops, claim.language, claim.email, issued, context.clock())
        work_queue.complete(ops, claim, context.clock())

    pipeline.run(
        context,
        ops,
        Case(claim.request_id, str(claim.subject), claim.email or None, claim.run_id, claim.verified_at),
        finish=finish,
        enter=lambda step: work_queue.enter(ops, claim, step, context.data.data_map.version),
        at=at,
        log=log,
    )


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
