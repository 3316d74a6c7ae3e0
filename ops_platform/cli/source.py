"""``ops-platform slo check``: whether a Prometheus, ours or somebody else's, can be counted from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.slo.source_check import ObjectiveCheck

prometheus = click.option("--prometheus", "url", default=None, help="Its URL; else OPS_PROMETHEUS_URL.")
replica_label = click.option(
    "--replica-label",
    "replica_labels",
    multiple=True,
    help="Tells replicas of Prometheus apart, one of which counts; else OPS_PROMETHEUS_REPLICA_LABELS.",
)


@click.command()
@arguments.objectives
@prometheus
@replica_label
@output.as_json
def check(
    objectives: Path | None, url: str | None, replica_labels: tuple[str, ...], json_output: bool
) -> None:
    """Say for each objective whether its newest hour can be counted, and what keeps it from that.

    Asks Prometheus alone: before a rule is loaded, and without anything else running. Tokens, certificates
    and tenants are settings, OPS_PROMETHEUS_...; they are sent to the URL that is named here, too.

    \b
    known     its events are counted to the last one
    bounded   least and most are known
    doubtful  counted, but a finding says that these may not be its events
    unknown   nothing bounds them
    Exit 1 when any objective is not known.

    \b
    Example:
      ops-platform slo check --objectives ./objectives --prometheus https://prometheus.example
    """
    from ops_platform.clients import prometheus_access
    from ops_platform.slo import source_check
    from ops_platform.slo.objectives import openslo

    settings = load_settings()
    loaded = openslo.load_directory(objectives or settings.config_dir / "objectives")
    client = prometheus_access.connect(settings, url=url, replica_labels=replica_labels, timeout_seconds=60)
    with output.progress_bar("checking") as progress:
        checks = source_check.check(client, loaded, datetime.now(UTC), progress)
    if json_output:
        output.print_json([_described(checked) for checked in checks])
    else:
        _print(checks)
    if any(checked.status != "known" for checked in checks):
        output.end(1)


def _print(checks: list[ObjectiveCheck]) -> None:
    rows = []
    for checked in checks:
        total = None if checked.count is None else checked.count.total
        bad = None if checked.count is None else checked.count.bad
        rows.append((checked.objective.id, checked.status, total, bad))
    output.print_table("the newest hour", ("objective", "is", "all", "bad"), rows)
    for checked in checks:
        if checked.reason is not None:
            click.echo(f"{checked.objective.id}: {checked.reason}", err=True)
        for finding in checked.findings:
            word = "" if finding.blocking else "note: "
            click.echo(f"{checked.objective.id}: {word}{finding}", err=True)


def _described(checked: ObjectiveCheck) -> dict[str, Any]:
    return {
        "service": checked.objective.service,
        "slo": checked.objective.name,
        "status": checked.status,
        "reason": checked.reason,
        "total_events": None if checked.count is None else checked.count.total,
        "bad_events": None if checked.count is None else checked.count.bad,
        "findings": [
            {"what": finding.what, "advice": finding.advice, "blocking": finding.blocking}
            for finding in checked.findings
        ],
    }
