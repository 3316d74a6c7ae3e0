"""The schedules of counting: each hour, and the days once a day."""

from datetime import UTC, timedelta

import dagster as dg

from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.slo.assets import DAILY, HOURLY

# Whether a scrape is missing shows ten minutes after the hour.
HOURLY_CRON = "12 * * * *"
DAILY_CRON = "20 0 * * *"
NO_OBJECTIVES = "there are no objectives: write one into objectives/ of OPS_CONFIG_DIR"


@dg.schedule(
    name="slo_windows_hourly",
    job_name="slo_windows",
    cron_schedule=HOURLY_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Count the hour that is over, and what is provisional; debit the budgets; make the figures.",
)
@reported_failures()
def slo_windows_hourly(
    context: dg.ScheduleEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    """Request the partition of the hour that is over; skip when there are no objectives."""
    hour = context.scheduled_execution_time.astimezone(UTC) - timedelta(hours=1)
    return _request(platform, hour.strftime(HOURLY.fmt.replace("%M", "00")))


@dg.schedule(
    name="slo_days_daily",
    job_name="slo_days",
    cron_schedule=DAILY_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Add up the hours of yesterday.",
)
@reported_failures()
def slo_days_daily(
    context: dg.ScheduleEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    """Request the partition of yesterday; skip when there are no objectives."""
    day = context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1)
    return _request(platform, day.strftime(DAILY.fmt))


def _request(platform: PlatformResource, partition: str) -> dg.RunRequest | dg.SkipReason:
    if not platform.has_objectives():
        return dg.SkipReason(NO_OBJECTIVES)
    return dg.RunRequest(run_key=partition, partition_key=partition)
