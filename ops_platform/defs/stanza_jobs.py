"""Jobs whose run config names one stanza, and schedules of one stanza each.

The ops are the duties' own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

import dagster as dg

from ops_platform.backup.stanza import AT, BackupConfig, dagster_name
from ops_platform.defs.ownership import duty_tag, owners

STANZA_TAG = "ops/stanza"


def stanza_schema(config: BackupConfig) -> dict[str, Any]:
    """Offer the configured stanzas in run config, so that a wrong name is refused at launch."""
    values = [dg.EnumValue(name) for name in config.stanzas]
    return {"stanza": dg.Field(dg.Enum("Stanza", values), description="Which stanza of backups.yaml.")}


def stanza_job(
    name: str,
    config: BackupConfig,
    op: dg.OpDefinition,
    description: str,
    duty: str,
    tags: Mapping[str, str] | None = None,
) -> dg.JobDefinition:
    """Make a job of one op for the stanza named in run config; ``tags`` are added to the duty's."""

    @dg.config_mapping(config_schema=stanza_schema(config))
    def choose(value: dict[str, Any]) -> dict[str, Any]:
        return {"ops": {op.name: {"config": {"stanza": value["stanza"]}}}}

    @dg.job(
        name=name,
        config=choose,
        executor_def=dg.in_process_executor,
        tags={**duty_tag(duty), **(tags or {})},
        owners=owners(duty),
        description=description,
    )
    def job() -> None:
        op()

    return job


def named_in_config(stanza: str, key: str) -> dg.RunRequest:
    """Ask for a run of a job whose run config names the stanza; ``key`` is the run key."""
    return dg.RunRequest(run_key=key, run_config={"stanza": stanza}, tags={STANZA_TAG: stanza})


def key_parts(stanza: str) -> list[str]:
    """Split a stanza's name into parts of an asset key: ``product/offsite`` of ``product@offsite``."""
    return stanza.split(AT)


def schedule_name(name: str, stanza: str) -> str:
    """Name the stanza's schedule: ``backup_full_weekly_product``. Dagster's names have no hyphens."""
    return f"{name}_{dagster_name(stanza)}"


def per_stanza_schedules(
    config: BackupConfig,
    name: str,
    cron: str,
    job_name: str,
    description: str,
    request: Callable[[str, str], dg.RunRequest] = named_in_config,
    *,
    of_clusters: bool = False,
) -> list[dg.ScheduleDefinition]:
    """Make a schedule of each stanza, named ``NAME_STANZA``, that asks for one run at each tick.

    One schedule has one cron and one stanza: after an outage Dagster makes up for a schedule's last
    missed tick only. ``request`` makes the run request of a stanza and a run key. ``cron`` is in UTC.
    ``of_clusters``: the work is of a cluster, so that a second repository has no schedule.
    """
    return [
        _schedule(stanza, schedule_name(name, stanza), cron, job_name, description, request)
        for stanza in (config.clusters if of_clusters else config.stanzas)
    ]


def _schedule(
    stanza: str,
    name: str,
    cron: str,
    job_name: str,
    description: str,
    request: Callable[[str, str], dg.RunRequest],
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{stanza}: {description}",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        at = context.scheduled_execution_time.astimezone(UTC).isoformat()
        return request(stanza, f"{stanza}:{at}")

    return schedule
