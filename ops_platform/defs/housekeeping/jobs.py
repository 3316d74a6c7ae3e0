"""The jobs that keep the platform itself in order: retention of its records, and the test of its alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from ops_platform import markdown
from ops_platform.clients import postgres
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.housekeeping import check_history, job_outcomes, retention

SIGN_INS_KEPT = timedelta(days=1)
"""Time after the end of a sign-in link in which its row tells that it was used."""


class RetentionConfig(dg.Config):
    """Terms in days; what is younger is kept."""

    event_log_days: int = 90
    check_history_days: int = 90
    # A year of alerts and a month to report on it; the Watchdog only proves that the pipe works now.
    alert_delivery_days: int = 400
    watchdog_delivery_days: int = 7
    request_address_days: int = 30
    # The daily review of requests names mails that were given up for as long.
    mail_days: int = 30


@dg.op(
    description="Delete Dagster's chatter, old runs of checks that told nothing new, old notifications, and "
    "the addresses in data subjects' requests that ended a month ago, with their mails and sign-in links; "
    "history stays."
)
def prune(
    context: dg.OpExecutionContext, config: RetentionConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Prune each kind of record by its term in the configuration."""
    now = datetime.now(UTC)
    with reported_failures():
        settings = platform.settings()
        storage = settings.require("dagster_storage_url")
        dagster, ops = retention.open_connections(storage, settings.require("database_url"))
        with dagster, ops:
            pruned = retention.prune_event_log(
                dagster, ops, timedelta(days=config.event_log_days), now, context.log.info
            )
            idle_runs = check_history.thin(
                dagster, timedelta(days=config.check_history_days), now, context.log.info
            )
            alerts = retention.prune_alert_deliveries(
                ops,
                timedelta(days=config.alert_delivery_days),
                timedelta(days=config.watchdog_delivery_days),
                now,
            )
            emptied = retention.forget_addresses(ops, timedelta(days=config.request_address_days), now)
            mails = retention.prune_mails(ops, timedelta(days=config.mail_days), now)
            sign_ins = retention.prune_sign_ins(ops, SIGN_INS_KEPT, now)
            job_outcomes.forget_ended_requests(ops, now - timedelta(days=config.event_log_days))
    return dg.Output(
        None,
        metadata={
            "event_log_rows_deleted": pruned.deleted,
            "looked_at_up_to_id": pruned.up_to_id,
            "runs_of_checks_deleted": idle_runs,
            "alert_deliveries_deleted": alerts,
            "requests_emptied_of_addresses": emptied,
            "mails_deleted": mails,
            "sign_ins_deleted": sign_ins,
        },
    )


@dg.job(
    executor_def=dg.in_process_executor,
    tags=duty_tag("housekeeping"),
    owners=owners("housekeeping"),
    description=(
        "Keep the platform's own records within their terms; materialisations, checks and run status stay."
    ),
)
def retention_cleanup() -> None:
    """Prune the platform's own records."""
    prune()


class DeliveryTestConfig(dg.Config):
    """The time a notification may take. Alertmanager sends an end with its next group_interval, a minute."""

    seconds: float = 150.0


@dg.op(description="Push two test alerts and follow them, and their ends, to every receiver of Alertmanager.")
def follow_test_alerts(
    context: dg.OpExecutionContext, config: DeliveryTestConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Run the delivery test; fail with its table when a notification did not arrive in time."""
    from ops_platform.housekeeping.alert_delivery import DeliveryTest  # by the run: it reads mail, too

    with reported_failures():
        settings = platform.settings()
    with reported_failures(), postgres.session(settings.require("database_url")) as ops:
        outcome = DeliveryTest(
            platform.alertmanager(),
            ops,
            context.run.run_id,
            settings.mail_dir,
            config.seconds,
            context.log.info,
        ).run()
    rows = []
    for path in outcome.paths:
        arrivals = [outcome.seconds.get((path, status)) for status in ("firing", "resolved")]
        rows.append((path, *("never" if seconds is None else f"{seconds:.0f}" for seconds in arrivals)))
    table = markdown.table(("receiver", "firing after s", "resolved after s"), rows)
    metadata = {"receivers": dg.MetadataValue.md(table)}
    if outcome.faults:
        raise dg.Failure(description="; ".join(outcome.faults), metadata=metadata, allow_retries=False)
    return dg.Output(None, metadata=metadata)


@dg.job(
    executor_def=dg.in_process_executor,
    tags=duty_tag("housekeeping"),
    owners=owners("housekeeping"),
    description="Prove that alerts arrive: fails unless a test alert of each severity, and its end, reach "
    "every receiver in time. People are told; the alert says that it is a test.",
)
def alert_delivery_test() -> None:
    """Follow test alerts to every receiver."""
    follow_test_alerts()


class VerificationConfig(dg.Config):
    """``full``: compare all events, not only those since the last verification, as one run a week does."""

    full: bool = False


@dg.op(
    description="Verify the audit ledger: the catalogue, the rows under seals since the last verification "
    "(weekly, and with full: true, all), and the seals against their locked copies."
)
def verify_ledger(
    context: dg.OpExecutionContext, config: VerificationConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Verify and put it on record; fail with the findings when anything differs."""
    from ops_platform.audit import report  # by the run: it reads the bucket, too

    with reported_failures():
        verdict = report.record_verification(platform.settings(), full=config.full, run_id=context.run.run_id)
    result = verdict.result
    metadata: dict[str, int | dg.MetadataValue[Any]] = {
        "compared_after_seal": result.since,
        "events": result.events,
        "seals": result.seals,
        "unsealed": result.unsealed,
        "rows_by_index": result.rows_by_index,
        "rows_by_scan": result.rows_by_scan or 0,
        "findings": dg.MetadataValue.md("\n".join(f"- {finding}" for finding in verdict.findings[:100])),
    }
    context.log.info(verdict.summary)
    if not verdict.ok:
        first = "; ".join(verdict.findings[:3])
        raise dg.Failure(
            description=f"{len(verdict.findings)} findings in the audit ledger: {first}",
            metadata=metadata,
            allow_retries=False,
        )
    return dg.Output(None, metadata=metadata)


@dg.job(
    executor_def=dg.in_process_executor,
    tags=duty_tag("housekeeping"),
    owners=owners("housekeeping"),
    description="Prove that the audit ledger is as it was sealed: fails with each place where it is not.",
)
def audit_verification() -> None:
    """Verify the audit ledger."""
    verify_ledger()


audit_verification_hourly = dg.ScheduleDefinition(
    name="audit_verification_hourly",
    job=audit_verification,
    cron_schedule="27 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Verify the audit ledger from the last verification on; weekly, all of it.",
)
retention_cleanup_daily = dg.ScheduleDefinition(
    name="retention_cleanup_daily",
    job=retention_cleanup,
    cron_schedule="10 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Prune the platform's own records by their terms.",
)
