"""The jobs of one request of a data subject, ``gdpr_erasure`` and ``gdpr_export``, done by ``fulfilment``.

A run is told the opaque id of a request and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from ops_platform.audit import ledger
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.defs import run_priority
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.gdpr.assets import erased, materialization
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.requests import NotClaimed, NotYet

if TYPE_CHECKING:
    from ops_platform.gdpr.erasure.context import ErasureContext

# Ops import the modules of their work, so that the definitions load in less time.
DUTY = duty_tag("gdpr")


class RequestConfig(dg.Config):
    """The request to work on; personal data do not belong in a run's configuration."""

    request_id: str


def _work(
    context: dg.OpExecutionContext, url: str, work: Callable[[], None], report: Callable[[Connection], None]
) -> dg.Output[None]:
    """Do the work, or log why not; ``report`` emits the event of a completed request, now or before."""
    outcome = "done"
    with reported_failures():
        try:
            work()
        except NotClaimed as ended:
            if ended.status is None:
                raise
            outcome = str(ended)
            if ended.status != "completed":
                context.log.info(outcome)
                return dg.Output(None, metadata={"what": outcome})
        except NotYet as waiting:
            context.log.warning(str(waiting))
            return dg.Output(None, metadata={"what": str(waiting)})
        with postgres.session(url) as ops:
            report(ops)
    return dg.Output(None, metadata={"what": outcome})


@dg.op(
    description="Claim the request and erase its subject, or go on where an earlier run stopped; at its "
    "first attempt together with requests that wait for theirs, which share its searches."
)
def erase(
    context: dg.OpExecutionContext, config: RequestConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Erase the subject of the request, and of others that wait; emit the event of each erasure."""
    from ops_platform.gdpr import fulfilment
    from ops_platform.gdpr.erasure import pipeline

    request_id, run_id = config.request_id, context.run.run_id
    with reported_failures():
        url = platform.settings().require("database_url")

    def report(ops: Connection, request_id: str = request_id) -> None:
        outcome = pipeline.outcome(ops, request_id)
        if outcome is not None:
            context.log_event(erased(request_id, lineage_store.lines(ops, request_id), outcome))

    def work(opening: "Callable[[], ErasureContext]") -> None:
        log = context.log.info
        [own, *others] = fulfilment.erase_with_waiting(url, request_id, run_id, opening, log=log)
        for other in others:
            if other.error is None:
                with postgres.session(url) as ops:
                    report(ops, other.request_id)
            else:
                # A run of its own tries it again, and fails with it if need be.
                reason = ledger.reason(other.error)
                context.log.warning(f"request {other.request_id} waits for a run of its own: {reason}")
        if own.error is not None:
            raise own.error

    return _work(context, url, lambda: work(platform.erasure), report)


@dg.op(description="Claim the request and write its subject's data to the exports bucket, once.")
def export_data(
    context: dg.OpExecutionContext, config: RequestConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Export the data of the request's subject and emit the event of the export."""
    from ops_platform.gdpr import fulfilment

    request_id, run_id = config.request_id, context.run.run_id
    with reported_failures():
        url = platform.settings().require("database_url")

    def report(ops: Connection) -> None:
        lines = lineage_store.lines(ops, request_id)
        context.log_event(materialization("export", request_id, lines, lineage_store.totals(lines)))

    return _work(
        context,
        url,
        lambda: fulfilment.export_data(url, request_id, run_id, platform.export, log=context.log.info),
        report,
    )


def _request_job(
    name: str, op: dg.OpDefinition, description: str, priority: Mapping[str, str]
) -> dg.JobDefinition:
    """Define a job of one op for the request named in its run config."""

    @dg.config_mapping(config_schema={"request_id": dg.Field(str, description="The opaque id of a request.")})
    def choose(value: dict[str, Any]) -> dict[str, Any]:
        return {"ops": {op.name: {"config": {"request_id": value["request_id"]}}}}

    @dg.job(
        name=name,
        config=choose,
        executor_def=dg.in_process_executor,
        # A worker that died frees its claim, and the sensor of requests begins the next attempt itself.
        tags={**DUTY, **priority, MAX_RETRIES_TAG: "0"},
        owners=owners("gdpr"),
        description=description,
    )
    def job() -> None:
        op()

    return job


gdpr_erasure = _request_job(
    "gdpr_erasure",
    erase,
    "Erase the subject of a confirmed request from every store, prove it and certify it.",
    run_priority.ERASURE,
)
gdpr_export = _request_job(
    "gdpr_export",
    export_data,
    "Write the data of a confirmed request's subject to the exports bucket.",
    run_priority.EXPORT,
)
