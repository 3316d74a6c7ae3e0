"""Sensors that watch the platform's own runs. They notify; they change nothing of ours."""

import dagster as dg

from ops_platform.clients.alertmanager import Alert
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource


@dg.run_failure_sensor(
    name="run_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tell Alertmanager of each run that failed; the alert links to the run.",
    minimum_interval_seconds=15,
    # There is one of it, also where other hosts' code locations run jobs.
    monitor_all_code_locations=True,
)
@reported_failures()
def run_failures(context: dg.RunFailureSensorContext, platform: PlatformResource) -> None:
    """Post an alert RunFailed, with a link to the run, to Alertmanager."""
    run = context.dagster_run
    stanza = run.run_config.get("stanza", "")
    labels = {"alertname": "RunFailed", "severity": "warning", "service": "dagster", "job_name": run.job_name}
    if stanza:
        labels["stanza"] = str(stanza)
    url = platform.settings().dagster_url or ""
    alert = Alert(
        labels=labels,
        annotations={
            "summary": f"Run of {run.job_name} failed" + (f" for {stanza}" if stanza else ""),
            # The message was written by us or by Dagster: no secret, no personal datum.
            "description": _first_line(context.failure_event.message or "no message"),
            "runbook_url": "docs/runbooks/system.md#runfailed",
        },
        generator_url=f"{url}/runs/{run.run_id}",
    )
    platform.alertmanager().post([alert])


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:500] if text.strip() else "no message"
