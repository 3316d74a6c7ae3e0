"""The job that applies retention to the platform's own records."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_platform.errors import OpsError
from ops_platform.housekeeping import retention
from ops_platform.resources import PlatformResource


class RetentionConfig(dg.Config):
    """Terms in days; what is younger is kept."""

    event_log_days: int = 90
    heartbeat_position_days: int = 70
    # A year of alerts and a month to report on it; the Watchdog only proves that the pipe works now.
    alert_delivery_days: int = 400
    watchdog_delivery_days: int = 7


@dg.op(description="Delete Dagster's chatter, old heartbeat positions and notifications; history stays.")
def prune(
    context: dg.OpExecutionContext, config: RetentionConfig, platform: PlatformResource
) -> dg.Output[None]:
    settings = platform.settings()
    now = datetime.now(UTC)
    try:
        storage = settings.require("dagster_storage_url")
        dagster, ops = retention.open_connections(storage, settings.require("database_url"))
        with dagster, ops:
            pruned = retention.prune_event_log(
                dagster, ops, timedelta(days=config.event_log_days), now, context.log.info
            )
            positions = retention.prune_heartbeat_positions(
                ops, timedelta(days=config.heartbeat_position_days), now
            )
            alerts = retention.prune_alert_deliveries(
                ops,
                timedelta(days=config.alert_delivery_days),
                timedelta(days=config.watchdog_delivery_days),
                now,
            )
    except OpsError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    return dg.Output(
        None,
        metadata={
            "event_log_rows_deleted": pruned.deleted,
            "looked_at_up_to_id": pruned.up_to_id,
            "heartbeat_positions_deleted": positions,
            "alert_deliveries_deleted": alerts,
        },
    )


@dg.job(
    executor_def=dg.in_process_executor,
    description=(
        "Keep the platform's own records within their terms; materialisations, checks and run status stay."
    ),
)
def retention_cleanup() -> None:
    prune()


retention_cleanup_daily = dg.ScheduleDefinition(
    name="retention_cleanup_daily",
    job=retention_cleanup,
    cron_schedule="10 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
