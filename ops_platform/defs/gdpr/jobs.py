"""The jobs of data subjects' rights beyond single requests: review, reports, retention; ``JOBS`` has all.

Ops import the modules of their work, so that the definitions load in less time.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ops_platform import markdown
from ops_platform.clients import postgres
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.gdpr.request_jobs import DUTY, gdpr_erasure, gdpr_export
from ops_platform.defs.ownership import owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.gdpr.reports import monthly_report, pending_review
from ops_platform.housekeeping import calendar
from ops_platform.settings import Settings


def _now() -> datetime:
    return datetime.now(UTC)


@dg.op(description="Which confirmed requests wait, which are near their deadline or past it, which failed.")
def look_at_requests(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    """Review the open requests, after a look for certificates to stamp. Raises Failure with the findings."""
    with reported_failures():
        settings = platform.settings()
        unstamped = _stamp_certificates(settings, context.log.warning)
        with postgres.session(settings.require("database_url")) as ops:
            review = pending_review.review(ops, _now())
            found = len(review.findings)
            calendar.record_performed(ops, "request_review", context.run.run_id, findings=found)
    columns = ("request", "type", "status", "step", "attempts", "due", "why")
    rows = [
        (
            request.request_id,
            request.request_type,
            request.status,
            request.progress,
            request.attempts,
            f"{request.due_at:%Y-%m-%d %H:%M}",
            request.failure,
        )
        for request in review.waiting
    ]
    metadata = {
        "waiting": dg.MetadataValue.md(markdown.table(columns, rows)),
        "unverified": dg.MetadataValue.int(review.unverified),
    }
    findings = [*review.findings]
    if unstamped:
        findings.append(
            f"{unstamped} certificates could not be given a trusted time: is the authority of "
            "OPS_GDPR_TIMESTAMP_URL away? The run's log says why"
        )
    return _require_none(findings, metadata)


def _stamp_certificates(settings: Settings, log: Callable[[str], None]) -> int:
    """Stamp certificates that lack a trusted time; return how many could not be. 0 without an authority."""
    from ops_platform.clients import object_store, timestamp_authority
    from ops_platform.gdpr.certificates import trusted_time

    authority = timestamp_authority.from_settings(settings)
    if authority is None:
        return 0
    ledger = object_store.from_settings(settings, "ledger")
    with postgres.session(settings.require("database_url"), autocommit=True) as ops:
        return trusted_time.stamp_missing(ops, ledger, authority, log)


@dg.op(description="The report on the month that is over; it goes into the audit ledger, too.")
def report_month(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    """Report on the last month and record the report. Raises Failure with broken promises."""
    with reported_failures(), postgres.session(platform.settings().require("database_url")) as ops:
        report = monthly_report.report(ops, *monthly_report.month_before(_now()))
        monthly_report.record(ops, report, context.run.run_id)
    columns = (
        "type",
        *next(iter(report.types)).entered,
        "late",
        "overdue",
        "median h",
        "longest h",
        "term unknown",
    )
    rows = [
        (
            counts.request_type,
            *counts.entered.values(),
            counts.late,
            counts.overdue,
            counts.median_hours,
            counts.longest_hours,
            counts.term_unknown,
        )
        for counts in report.types
    ]
    metadata: dict[str, dg.MetadataValue] = {
        "from": dg.MetadataValue.text(f"{report.start:%Y-%m-%d}"),
        "until": dg.MetadataValue.text(f"{report.end:%Y-%m-%d}"),
        "requests": dg.MetadataValue.md(markdown.table(columns, rows)),
        "effects": dg.MetadataValue.md(
            markdown.table(("store", "action", "changed", "requests"), report.effects)
        ),
        "proof": dg.MetadataValue.md(markdown.table(("what", "number"), list(report.proof.items()))),
        "report": dg.MetadataValue.json(report.as_json()),
    }
    return _require_none(report.findings, metadata)


@dg.op(description="The data map against the database, and personal data in samples of plain columns.")
def audit_data(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    """Audit the data map against the product's database. Raises Failure with the findings."""
    from ops_platform.gdpr import connections, schema
    from ops_platform.gdpr.reports import data_audit

    with reported_failures():
        data_map, settings = platform.data_map(), platform.settings()
        url = settings.product_eraser_database_url or settings.require("product_database_url")
        others = connections.of_settings(settings, data_map, application="ops-platform data audit")
        with (
            postgres.session(url, application="ops-platform data audit") as product,
            connections.connected(others) as connected,
        ):
            home = connections.OpenDatabase(data_map, product, schema.read(product))
            findings = data_audit.audit(connections.read(home, connected))
        with postgres.session(settings.require("database_url")) as ops:
            calendar.record_performed(ops, "data_audit", context.run.run_id, findings=len(findings))
    metadata: dict[str, dg.MetadataValue] = {
        "map_version": dg.MetadataValue.text(data_map.version),
        "tables": dg.MetadataValue.int(sum(len(part.tables) for part in data_map.everywhere)),
        "findings": dg.MetadataValue.md(
            markdown.table(
                ("where", "code", "what"),
                [(finding.where, finding.code, finding.message) for finding in findings],
            )
        ),
    }
    return _require_none([str(finding) for finding in findings], metadata)


@dg.op(description="Rows whose term in the data map is over, deleted or made anonymous; on record by table.")
def retain(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    """Carry out the terms of retention. Raises Failure with the tables whose term is not carried out."""
    from ops_platform.backup.stanza import load_backups
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.gdpr.retention import daily_run, outside_places, retention_store

    with reported_failures():
        settings = platform.settings()
        if not (settings.config_dir / "data_map.yaml").exists():
            return dg.Output(None, metadata={"what": "there is no data map, and so no term"})
        data_map = platform.data_map()
        if not any(table.term for table in data_map.tables.values()):
            # Nothing of the product is needed then; without a stanza, no run has looked at it.
            stanza = backup_expiry.known_product_stanza(settings, load_backups(settings))
            with postgres.session(settings.require("database_url"), autocommit=True) as ops:
                if stanza is not None:
                    retention_store.forget_looks(ops, stanza.cluster)
            return dg.Output(None, metadata={"what": "no table of the data map has a term"})
        url = settings.product_eraser_database_url or settings.require("product_database_url")
        with (
            postgres.session(url, application="ops-platform retention", autocommit=True) as product,
            postgres.session(settings.require("database_url"), autocommit=True) as ops,
        ):
            report = daily_run.run(
                product,
                ops,
                data_map,
                backup_expiry.product_backup_term(settings).stanza,
                actor=f"dagster:{context.run.run_id}",
                dagster_run=context.run.run_id,
                progress=lambda place, changed: context.log.info(f"{place}: {changed} rows"),
                outside=outside_places.configured(settings, data_map),
            )
    columns = ("table", "action", "term", "changed", "due", "held", "undated")
    rows = [
        (
            table.table,
            table.action,
            table.term,
            table.changed,
            *((table.counts.due, table.counts.held, table.counts.undated) if table.counts else [None] * 3),
        )
        for table in report.tables
    ]
    metadata: dict[str, dg.MetadataValue] = {
        "run": dg.MetadataValue.text(report.run_id or ""),
        "tables": dg.MetadataValue.md(markdown.table(columns, rows)),
    }
    return _require_none(report.problems, metadata)


@dg.op(description="Erase again whoever was erased, after a restore of the product or of the ops database.")
def replay_tombstones(context: dg.OpExecutionContext, platform: PlatformResource) -> dg.Output[None]:
    """Replay tombstones on the databases that serve now."""
    from ops_platform.dr.verification import erasure_replay

    with reported_failures():
        replayed = erasure_replay.replay_live(platform.settings(), context.log.info)
    memory, rows = replayed.memory, replayed.rows
    return dg.Output(
        None,
        metadata={
            "tombstones": rows.tombstones,
            "came_back": rows.came_back,
            "rows_changed": sum(effect.changed for effect in rows.effects),
            "rows_to_redact_by_hand": sum(effect.after for effect in rows.unredactable),
            "rows_left_to_others": sum(effect.after for effect in rows.left_to_others),
            "adopted_from_ledger": memory.adopted,
            "certificates_from_ledger": memory.certificates,
            "requests_scrubbed": memory.scrubbed,
            "erasures_to_finish": memory.unfinished,
            "left_to_their_runs": replayed.under_way,
        },
    )


def _plain_job(name: str, op: dg.OpDefinition, description: str) -> dg.JobDefinition:
    @dg.job(
        name=name,
        executor_def=dg.in_process_executor,
        tags=DUTY,
        owners=owners("gdpr"),
        description=description,
    )
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
gdpr_retention = _plain_job(
    "gdpr_retention",
    retain,
    "Delete rows whose term in the data map is over, or make them anonymous; fails where a term is not kept.",
)
tombstone_replay = _plain_job(
    "tombstone_replay",
    replay_tombstones,
    "After a restore: bring the ops database up to the ledger, erase again whoever came back.",
)
JOBS = [
    gdpr_erasure,
    gdpr_export,
    gdpr_pending_review,
    compliance_report,
    data_audit_job,
    gdpr_retention,
    tombstone_replay,
]


def _require_none(findings: list[str], metadata: dict[str, Any]) -> dg.Output[None]:
    """Raise Failure with the findings, if any: somebody must look, and the failed run's alert says so."""
    if findings:
        more = f" (and {len(findings) - 5} more)" if len(findings) > 5 else ""
        raise dg.Failure(description="; ".join(findings[:5]) + more, metadata=metadata, allow_retries=False)
    return dg.Output(None, metadata=metadata)
