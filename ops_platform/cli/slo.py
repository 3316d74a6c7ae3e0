"""``ops-platform slo``: objectives without Dagster, also with a Prometheus that is not ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops_platform import runbooks
from ops_platform.cli import arguments, exclusion, output, report, source
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount
    from ops_platform.slo.objectives import Objective
    from ops_platform.slo.reporting import Tally


MAX_REASONS = 10
"""Reasons for unknown hours that are printed."""


@click.group()
def slo() -> None:
    """Validate service level objectives, count their events exactly, and show what is left of the budget."""


@slo.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@output.as_json
def validate(files: tuple[Path, ...], json_output: bool) -> None:
    """Check OpenSLO documents; exit 2 with file and line of the first fault.

    An objective that cannot be computed exactly is refused: it needs counters of events.

    \b
    Example:
      ops-platform slo validate objectives/*.yaml
    """
    from ops_platform.clients import prometheus_access
    from ops_platform.slo.objectives import openslo
    from ops_platform.slo.reporting import error_budget

    loaded = openslo.read(files)
    objectives = loaded.objectives
    named = prometheus_access.names(load_settings())
    notes = [
        f"{objective.id}: its metricSourceRef {objective.indicator.source} is not in OPS_PROMETHEUS_URLS "
        "here; it is counted only where it is"
        for objective in objectives
        if objective.indicator.source is not None and objective.indicator.source not in named
    ]
    for note in (*loaded.notes, *notes):
        click.echo(f"note: {note}", err=True)
    if json_output:
        output.print_json([_described(objective) for objective in objectives])
        return
    output.print_table(
        f"{len(objectives)} objectives",
        ("objective", "service", "target %", "period", "events"),
        [
            (
                objective.id,
                objective.service,
                error_budget.percent(objective.target),
                objective.period,
                objective.indicator.total,
            )
            for objective in objectives
        ],
    )


@slo.command()
@click.option("--from", "since", required=True, help="A full hour in UTC: 2026-01-31T14:00.")
@click.option("--to", "until", required=True, help="A full hour in UTC, at least ten minutes ago.")
@arguments.objectives
@source.prometheus
@source.replica_label
@output.as_json
def compute(
    since: str,
    until: str,
    objectives: Path | None,
    url: str | None,
    replica_labels: tuple[str, ...],
    json_output: bool,
) -> None:
    """Count good and all events by the hour, from raw samples; needs nothing but Prometheus.

    Nothing is stored. The verdict says what is certain over the whole time: met, at risk (at most a quarter
    of the budget is left), breached, or undecided because of hours that are not known. Exit 1 when a count
    could not be determined.

    \b
    Example:
      ops-platform slo compute --from 2026-01-31T00:00 --to 2026-02-01T00:00 \\
          --objectives ./objectives --prometheus http://prometheus:9090
    """
    from ops_platform.clients import prometheus_access
    from ops_platform.slo import counting
    from ops_platform.slo.objectives import openslo

    settings = load_settings()
    bounds = counting.hours(arguments.moment(since), arguments.moment(until))
    loaded = openslo.load_directory(objectives or settings.config_dir / "objectives")
    client = prometheus_access.connect(settings, url=url, replica_labels=replica_labels, timeout_seconds=60)
    with output.progress_bar("counting") as progress:
        counts = counting.count(client, loaded, bounds, datetime.now(UTC), progress=progress)
    if json_output:
        output.print_json([_computed(objective, windows) for objective, windows in counts.items()])
    else:
        _print(counts)
    if any(window.total is None for windows in counts.values() for window in windows):
        output.end(1)


@slo.command()
@click.option(
    "--out",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Write slo.yml there; of kubernetes, slo-prometheusrules.yaml.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["prometheus", "kubernetes"]),
    default="prometheus",
    help="A rule file, or a PrometheusRule of the Prometheus Operator for each objective.",
)
@click.option("--namespace", default=None, help="The objects' namespace; of kubernetes only.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="A label of the objects, as ruleSelector asks for; of kubernetes only. May be given again.",
)
@click.option(
    "--source",
    default=None,
    metavar="NAME",
    help="For the Prometheus of this metricSourceRef: its objectives, without alerts on exact figures.",
)
@arguments.objectives
def rules(
    directory: Path | None,
    format_: str,
    namespace: str | None,
    labels: tuple[str, ...],
    source: str | None,
    objectives: Path | None,
) -> None:
    """Generate Prometheus rules of the objectives: recording rules with Sloth's names, and burn alerts.

    They are for the Prometheus of OPS_PROMETHEUS_URL, which scrapes the agent: of objectives with a
    metricSourceRef, only the alerts on the exact figures. --source makes the rest, for their own Prometheus.

    \b
    Examples:
      ops-platform slo rules --out /etc/prometheus/rules
      ops-platform slo rules --format kubernetes --label release=prometheus | kubectl apply -f -
    """
    from ops_platform.slo.objectives import kubernetes_rules, openslo, prometheus_rules

    if format_ != "kubernetes" and (namespace is not None or labels):
        raise ConfigurationError("--namespace and --label go only with --format kubernetes")
    parsed = kubernetes_rules.parse_labels(labels)
    loaded = openslo.load_directory(objectives or load_settings().config_dir / "objectives")
    own = [objective for objective in loaded if objective.indicator.source == source]
    elsewhere = [objective for objective in loaded if source is None and objective not in own]
    if source is not None:
        if not own:
            raise ConfigurationError(f"no objective has the metricSourceRef {source}: correct --source")
        own = [prometheus_rules.without_figures(objective) for objective in own]
    if format_ == "kubernetes":
        name, text = "slo-prometheusrules.yaml", kubernetes_rules.text(own, namespace, parsed, elsewhere)
    else:
        name, text = "slo.yml", prometheus_rules.text(own, elsewhere)
    text = runbooks.linked(text, load_settings().runbook_url)
    if directory is None:
        click.echo(text, nl=False)
    else:
        output.write(directory / name, text)


@slo.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the OpenSLO documents; existing files are not overwritten.",
)
def import_(file: Path, directory: Path) -> None:
    """Turn documents of other tools into OpenSLO v1: Sloth's, Pyrra's, and OpenSLO v1alpha.

    Sloth's files (prometheus/v1) and Kubernetes objects (PrometheusServiceLevel), Pyrra's
    ServiceLevelObjective, with labels and options of alerts. Queries must be sums of rates of counters, or
    gauges; anything else is refused with file and line. What has no like here is dropped, with a line each.

    \b
    Example:
      ops-platform slo import sloth.yml --out objectives
    """
    import yaml

    from ops_platform.slo import importing

    imported = importing.convert(file)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        existing = [name for name in imported.documents if (directory / name).exists()]
        if existing:
            raise ConfigurationError(f"{directory / existing[0]}: is there already; choose another directory")
        for name, document in imported.documents.items():
            text = yaml.safe_dump(document, sort_keys=False, width=110)
            (directory / name).write_text(text, encoding="utf-8")
            click.echo(str(directory / name))
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or directory}: cannot be written ({error.strerror}); choose another directory"
        ) from None
    for dropped in imported.dropped:
        click.echo(dropped, err=True)


def _print(counts: dict[Objective, list[WindowCount]]) -> None:
    from ops_platform.slo.reporting import Tally, error_budget

    rows, reasons = [], []
    for objective, windows in counts.items():
        tally = Tally.of(windows)
        rows.append(
            (
                objective.id,
                error_budget.verdict(tally, objective),
                *_events(tally),
                _good(tally),
                error_budget.percent(objective.target),
                "none to spend"
                if objective.target == 1
                else error_budget.percent_between(error_budget.remaining_bounds(tally, objective.target), 1),
                f"{tally.windows - tally.missing} of {tally.windows}",
            )
        )
        reasons += [
            f"{objective.id}, hour of {window.start:%Y-%m-%d %H:%M} UTC: {window.reason}"
            for window in windows
            if window.reason
        ]
    columns = (
        "objective",
        "verdict",
        "good",
        "all",
        "bad",
        "good %",
        "target %",
        "left %",
        "hours known",
    )
    output.print_table("exact counts", columns, rows)
    for reason in reasons[:MAX_REASONS]:
        click.echo(reason, err=True)
    if len(reasons) > MAX_REASONS:
        click.echo(f"and {len(reasons) - MAX_REASONS} more; --json has them all", err=True)


def _events(tally: Tally) -> tuple[object, object, object]:
    """Write good, all and bad events; least and most where they are bounded."""
    bounds = tally.known
    if tally.total is not None or bounds is None:
        return tally.good, tally.total, tally.bad
    return (
        f"{bounds.good_least} to {bounds.good_most}",
        f"{bounds.good_least + bounds.bad_least} to {bounds.good_most + bounds.bad_most}",
        f"{bounds.bad_least} to {bounds.bad_most}",
    )


def _good(tally: Tally) -> str:
    from ops_platform.slo.reporting import error_budget

    return (
        "no events"
        if tally.state == "no_data"
        else error_budget.percent_between(error_budget.achievement_bounds(tally))
    )


def _described(objective: Objective) -> dict[str, Any]:
    indicator = objective.indicator
    return {
        "service": objective.service,
        "slo": objective.name,
        "title": objective.title,
        "target": str(objective.target),
        "period": str(objective.period),
        **indicator.definition,
        "counts": indicator.unit,
        "version": objective.version,
    }


def _computed(objective: Objective, windows: list[WindowCount]) -> dict[str, Any]:
    from dataclasses import asdict

    from ops_platform.slo.reporting import Tally, error_budget

    tally = Tally.of(windows)
    share, left = error_budget.achievement(tally), error_budget.remaining(tally, objective.target)
    shares = error_budget.achievement_bounds(tally)
    budgets = error_budget.remaining_bounds(tally, objective.target)
    return {
        **_described(objective),
        "state": tally.state,
        "verdict": error_budget.verdict(tally, objective),
        "windows_known": tally.windows - tally.missing,
        "windows_expected": tally.windows,
        "bounds": None if tally.known is None else asdict(tally.known),
        "achievement_bounds": None if shares is None else [float(bound) for bound in shares],
        "error_budget_remaining_bounds": None if budgets is None else [float(bound) for bound in budgets],
        "good_events": tally.good,
        "total_events": tally.total,
        "achievement": None if share is None else float(share),
        "error_budget_remaining": None if left is None else float(left),
        "windows": [{**asdict(window), "state": window.state} for window in windows],
    }


slo.add_command(exclusion.exclusion)
slo.add_command(report.report)
slo.add_command(report.export)
slo.add_command(source.check)

COMMANDS = (slo,)
