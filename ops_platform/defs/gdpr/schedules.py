"""The schedules of retention and of the reports on data subjects' requests. UTC."""

import dagster as dg

from ops_platform.defs.gdpr.jobs import compliance_report, data_audit_job, gdpr_pending_review, gdpr_retention

_RUNNING = dg.DefaultScheduleStatus.RUNNING

gdpr_pending_review_daily = dg.ScheduleDefinition(
    name="gdpr_pending_review_daily",
    job=gdpr_pending_review,
    cron_schedule="20 5 * * *",
    execution_timezone="UTC",
    default_status=_RUNNING,
    description="Look for requests that are late, nearly late or failed.",
)
gdpr_compliance_report_monthly = dg.ScheduleDefinition(
    name="gdpr_compliance_report_monthly",
    job=compliance_report,
    cron_schedule="40 5 2 * *",
    execution_timezone="UTC",
    default_status=_RUNNING,
    description="Report on the requests of the month that is over.",
)
gdpr_data_audit_quarterly = dg.ScheduleDefinition(
    name="gdpr_data_audit_quarterly",
    job=data_audit_job,
    cron_schedule="50 5 3 1,4,7,10 *",
    execution_timezone="UTC",
    default_status=_RUNNING,
    description="Compare the data map with the database, quarter by quarter.",
)
gdpr_retention_daily = dg.ScheduleDefinition(
    name="gdpr_retention_daily",
    job=gdpr_retention,
    cron_schedule="40 3 * * *",
    execution_timezone="UTC",
    default_status=_RUNNING,
    description="Carry out the terms of the data map.",
)
SCHEDULES = [
    gdpr_pending_review_daily,
    gdpr_compliance_report_monthly,
    gdpr_data_audit_quarterly,
    gdpr_retention_daily,
]
