"""``ops-platform failures`` and ``alert-rules``: the jobs that fail, and the rules by which alerts fire."""

from __future__ import annotations

from pathlib import Path

import click

from ops_platform import files, runbooks
from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.group(invoke_without_command=True)
@output.as_json
@click.pass_context
def failures(context: click.Context, json_output: bool) -> None:
    """List the jobs whose newest run failed, the longest first; exit 1 when any does.

    A job fails until it succeeds for the same stanza or request. What somebody has acknowledged is listed and
    counts as taken care of.

    \b
    Examples:
      ops-platform failures
      ops-platform failures acknowledge backup_incr --stanza product \\
          --by ada --because 'the disk is replaced tonight'
    """
    if context.invoked_subcommand is not None:
        return
    from ops_platform.clients import postgres
    from ops_platform.housekeeping import job_outcomes

    with postgres.session(load_settings().require("database_url")) as ops:
        found = job_outcomes.failing(ops, acknowledged=True)
    if json_output:
        output.print_json(
            [
                {
                    "job_name": one.work.job_name,
                    "stanza": one.work.stanza or None,
                    "request_id": one.work.request_id or None,
                    "duty": one.duty,
                    "since": one.since,
                    "failures": one.failures,
                    "run_id": one.run_id,
                    "cause": one.cause,
                    "acknowledged_by": one.acknowledged_by,
                    "acknowledged_because": one.acknowledged_because,
                }
                for one in found
            ]
        )
    elif not found:
        click.echo("no job fails")
    else:
        rows = [
            (one.work, output.moment(one.since), one.failures, one.run_id[:8], one.acknowledged_by, one.cause)
            for one in found
        ]
        output.print_table("jobs that fail", ("job", "since", "runs", "newest", "taken by", "cause"), rows)
    if any(one.acknowledged_by is None for one in found):
        output.end(1)


@failures.command()
@click.argument("job")
@click.option("--stanza", default="", help="The stanza that it failed for.")
@click.option("--request", "request_id", default="", help="The request that it failed for.")
@click.option("--by", required=True, help="Who takes care of it.")
@click.option("--because", required=True, help="Why it may stay so; it is in the audit ledger.")
def acknowledge(job: str, stanza: str, request_id: str, by: str, because: str) -> None:
    """Take care of a failing job: its alert ends, until the same fails again.

    \b
    Example:
      ops-platform failures acknowledge backup_incr --stanza product \\
          --by ada --because 'the disk is replaced tonight'
    """
    from ops_platform.clients import postgres
    from ops_platform.housekeeping import job_outcomes

    work = job_outcomes.Work(job, stanza, request_id)
    with postgres.session(load_settings().require("database_url")) as ops:
        found = job_outcomes.acknowledge(ops, work, by, because)
    click.echo(
        f"{work}: {by} takes care of what failed {found.failures} times, the last in run {found.run_id}"
    )


@click.command("alert-rules")
@click.option(
    "--out",
    "directory",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Directory of Prometheus's rule files; those of the same name are replaced.",
)
def alert_rules(directory: Path) -> None:
    """Write the platform's own rule files for Prometheus; those of objectives are made by slo rules.

    With OPS_RUNBOOK_URL each alert's link to its runbook is absolute.

    \b
    Example:
      OPS_RUNBOOK_URL=https://docs.example/runbooks/ ops-platform alert-rules --out /etc/prometheus/rules
    """
    base = load_settings().runbook_url
    for source in sorted((files.carried("dashboards") / "prometheus" / "rules").glob("*.yml")):
        if source.name != "slo.yml":
            output.write(directory / source.name, runbooks.linked(source.read_text(encoding="utf-8"), base))


COMMANDS = (failures, alert_rules)
