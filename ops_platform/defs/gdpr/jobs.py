"""The jobs of data subjects' rights. What they do is in ``work``, ``erasure``, ``export`` and the reports.

A run is told the opaque id of a request and nothing else.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ops_platform import markdown
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.defs.failures import told
from ops_platform.defs.gdpr.assets import erased, materialization
from ops_platform.defs.resources import PlatformResource
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.reports import monthly_report, pending_review
from ops_platform.gdpr.requests import NotClaimed, NotYet

# An op imports the work that it does: the definitions load in less time.
DUTY = {"duty": "gdpr"}


class RequestConfig(dg.Config):
    """Which request; personal data do not belong in a run's configuration."""

    request_id: str


def _now() -> datetime:
    return datetime.now(UTC)


def _work(
    context: dg.OpExecutionContext, url: str, do: Callable[[], None], tell: Callable[[Connection], None]
) -> dg.Output[None]:
    """Do it, or say why not; ``tell`` emits the event of a request that is completed, now or before."""
    what = "done"
    with told():
        try:
            do()
        except NotClaimed as ended:
            if ended.status is None:
                raise
            what = str(ended)
            if ended.status != "completed":
                context.log.info(what)
                return dg.Output(None, metadata={"what": what})
        except NotYet as waiting:
            context.log.warning(str(waiting))
            return dg.Output(None, metadata={"what": str(waiting)})
        with postgres.session(url) as ops:
            tell(ops)
    return dg.Output(None, metadata={"what": what})


@dg.op(description="Claim the request and erase its subject, or go on where an earlier run stopped.")
def erase(
    context: dg.OpExecutionContext, config: RequestConfig, platform: PlatformResource
) -> dg.Output[None]:
    from ops_platform.gdpr import fulfilment as request_work
    from ops_platform.gdpr.erasure import pipeline

    request_id, run_id = config.request_id, context.run.run_id
    url = platform.settings().require("database_url")

    def tell(ops: Connection) -> None:
        done = pipeline.outcome(ops, request_id)
        if done is not None:
            context.log_event(erased(request_id, lineage_store.of(ops, request_id), done))

    return _work(
        context,
        url,
        lambda: request_work.erase(url, request_id, run_id, platform.erasure, log=context.log.info),
        tell,
    )


@dg.op(description="Claim the request and write its subject's data to the exports bucket, once.")
def export_data(
    context: dg.OpExecutionContext, config: RequestConfig, platform: PlatformResource
) -> dg.Output[None]:
    from ops_platform.gdpr import fulfilment as request_work

    request_id, run_id = config.request_id, context.run.run_id
    url = platform.settings().require("database_url")

    def tell(ops: Connection) -> None:
        lines = lineage_store.of(ops, request_id)
        context.log_event(materialization("export", request_id, lines, lineage_store.totals(lines)))

    return _work(
        context,
        url,
        lambda: request_work.export_data(url, request_id, run_id, platform.export, log=context.log.info),
        tell,
    )


def request_job(name: str, op: dg.OpDefinition, description: str) -> dg.JobDefinition:
    """A job of one op for the request named in run config."""

    @dg.config_mapping(config_schema={"request_id": dg.Field(str, description="The opaque id of a request.")})
    def choose(value: dict[str, Any]) -> dict[str, Any]:
        return {"ops": {op.name: {"config": {"request_id": value["request_id"]}}}}

    @dg.job(name=name, config=choose, executor_def=dg.in_process_executor, tags=DUTY, description=description)
    def job() -> None:
        op()

    return job


gdpr_erasure = request_job(
    "gdpr_erasure",
    erase,
    "Erase the subject of a confirmed request from every store, prove it and certify it.",
)
gdpr_export = request_job(
    "gdpr_export", export_data, "Write the data of a confirmed request's subject to the exports bucket."
)


@dg.op(description="Which confirmed requests wait, which are near their deadline or past it, which failed.")
def look_at_requests(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    with told(), postgres.session(platform.settings().require("database_url")) as ops:
        found = pending_review.review(ops, _now())
    columns = ("request", "type", "status", "step", "attempts", "due", "why")
    rows = [
        (
            one.request_id,
            one.request_type,
            one.status,
            one.progress,
            one.attempts,
            f"{one.due_at:%Y-%m-%d %H:%M}",
            one.failure,
        )
        for one in found.waiting
    ]
    metadata = {
        "waiting": dg.MetadataValue.md(markdown.table(columns, rows)),
        "unverified": dg.MetadataValue.int(found.unverified),
    }
    return _judged(found.findings, metadata)


@dg.op(description="The report on the month that is over; it goes into the audit ledger, too.")
def report_month(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    with told(), postgres.session(platform.settings().require("database_url")) as ops:
        made = monthly_report.report(ops, *monthly_report.month_before(_now()))
        monthly_report.keep(ops, made, context.run.run_id)
    columns = ("type", *next(iter(made.types)).entered, "late", "overdue", "median h", "longest h")
    rows = [
        (one.request_type, *one.entered.values(), one.late, one.overdue, one.median_hours, one.longest_hours)
        for one in made.types
    ]
    metadata: dict[str, dg.MetadataValue] = {
        "from": dg.MetadataValue.text(f"{made.start:%Y-%m-%d}"),
        "until": dg.MetadataValue.text(f"{made.end:%Y-%m-%d}"),
        "requests": dg.MetadataValue.md(markdown.table(columns, rows)),
        "effects": dg.MetadataValue.md(
            markdown.table(("store", "action", "changed", "requests"), made.effects)
        ),
        "proof": dg.MetadataValue.md(markdown.table(("what", "number"), list(made.proof.items()))),
        "report": dg.MetadataValue.json(made.as_json()),
    }
    return _judged(made.findings, metadata)


@dg.op(description="The data map against the database, and personal data in samples of plain columns.")
def audit_data(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    from ops_platform.gdpr.reports import data_audit

    with told():
        known, settings = platform.data_map(), platform.settings()
        url = settings.product_eraser_database_url or settings.require("product_database_url")
        with postgres.session(url, application="ops-platform data audit") as product:
            found = data_audit.audit(product, known)
    metadata: dict[str, dg.MetadataValue] = {
        "map_version": dg.MetadataValue.text(known.version),
        "tables": dg.MetadataValue.int(len(known.tables)),
        "findings": dg.MetadataValue.md(
            markdown.table(("where", "code", "what"), [(one.where, one.code, one.said) for one in found])
        ),
    }
    return _judged([str(one) for one in found], metadata)


def _plain_job(name: str, op: dg.OpDefinition, description: str) -> dg.JobDefinition:
    @dg.job(name=name, executor_def=dg.in_process_executor, tags=DUTY, description=description)
    def job() -> None:
        op()

    return job


gdpr_pending_review = _plain_job(
    "gdpr_pending_review",
    look_at_requests,
    "Look at the requests that are open; fails when one is late, nearly late or failed.",
)
compliance_report = _plain_job(
    "compliance_report",
    report_month,
    "Report on the requests of the month that is over; fails when a promise was broken.",
)
data_audit_job = _plain_job(
    "data_audit",
    audit_data,
    "Compare the data map with the database and look for personal data in unexpected columns.",
)
JOBS = [gdpr_erasure, gdpr_export, gdpr_pending_review, compliance_report, data_audit_job]


def _judged(findings: list[str], metadata: dict[str, Any]) -> dg.Output[None]:
    """Fails with the findings: somebody must look, and the failed run's alert says so."""
    if findings:
        more = f" (and {len(findings) - 5} more)" if len(findings) > 5 else ""
        raise dg.Failure(description="; ".join(findings[:5]) + more, metadata=metadata, allow_retries=False)
    return dg.Output(None, metadata=metadata)
