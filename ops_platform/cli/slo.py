"""``ops-platform slo``: objectives without Dagster, also against somebody else's Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops_platform.cli import arguments, exclusion, output, report
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount
    from ops_platform.slo.objectives import Objective


@click.group()
def slo() -> None:
    """Service level objectives: read them, count their events exactly, say what is left of the budget."""


@slo.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@output.as_json
def validate(files: tuple[Path, ...], json_output: bool) -> None:
    """Check OpenSLO documents; exit 2 and file:line of the first fault.

    What cannot be computed exactly is refused: an objective needs counters of events.

    \b
    Example:
      ops-platform slo validate objectives/*.yaml
    """
    from ops_platform.slo.objectives import openslo
    from ops_platform.slo.reporting import error_budget

    found = openslo.load(files)
    if json_output:
        output.print_json([_described(one) for one in found])
        return
    output.print_table(
        f"{len(found)} objectives",
        ("objective", "service", "target %", "period", "events"),
        [
            (one.id, one.service, error_budget.percent(one.target), one.period, one.indicator.total)
            for one in found
        ],
    )


@slo.command()
@click.option("--from", "since", required=True, help="A full hour in UTC: 2026-01-31T14:00.")
@click.option("--to", "until", required=True, help="A full hour in UTC, at least ten minutes ago.")
@arguments.objectives
@click.option("--prometheus", "url", default=None, help="Its URL; else OPS_PROMETHEUS_URL.")
@click.option(
    "--replica-label",
    "replica_labels",
    multiple=True,
    help="Tells replicas of Prometheus apart, one of which counts; else OPS_PROMETHEUS_REPLICA_LABELS.",
)
@output.as_json
def compute(
    since: str,
    until: str,
    objectives: Path | None,
    url: str | None,
    replica_labels: tuple[str, ...],
    json_output: bool,
) -> None:
    """Count good and all events by the hour, from raw samples; needs Prometheus, and nothing else.

    Nothing is stored. Exit 1 when anything could not be known.

    \b
    Example:
      ops-platform slo compute --from 2026-01-31T00:00 --to 2026-02-01T00:00 \\
          --objectives ./objectives --prometheus http://prometheus:9090
    """
    from ops_platform.clients.prometheus import Prometheus
    from ops_platform.slo import counting
    from ops_platform.slo.objectives import openslo

    settings = load_settings()
    bounds = counting.hours(arguments.moment(since), arguments.moment(until))
    known = openslo.load_directory(objectives or settings.config_dir / "objectives")
    address = url or settings.require("prometheus_url")
    labels = replica_labels or settings.prometheus_replica_labels
    source = Prometheus(address, ca_file=settings.ca_file, timeout_seconds=60, replica_labels=labels)
    with output.progress_bar("counting") as progress:
        found = counting.count(source, known, bounds, datetime.now(UTC), progress=progress)
    if json_output:
        output.print_json([_computed(one, counts) for one, counts in found.items()])
    else:
        _print(found)
    if any(one.total is None for counts in found.values() for one in counts):
        output.end(1)


@slo.command()
@click.option(
    "--out",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Write slo.yml there.",
)
@arguments.objectives
def rules(directory: Path | None, objectives: Path | None) -> None:
    """Prometheus rules of the objectives: recording rules with Sloth's names, and burn alerts.

    \b
    Example:
      ops-platform slo rules --out /etc/prometheus/rules
    """
    from ops_platform.slo.objectives import openslo, prometheus_rules

    found = openslo.load_directory(objectives or load_settings().config_dir / "objectives")
    text = prometheus_rules.text(found)
    if directory is None:
        click.echo(text, nl=False)
        return
    target = directory / "slo.yml"
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written ({error.strerror})") from None
    click.echo(str(target))


@slo.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the OpenSLO documents go; none that is there is overwritten.",
)
def import_(file: Path, directory: Path) -> None:
    """Turn a Sloth file (prometheus/v1) into OpenSLO documents.

    Its queries must be sums of rates of counters; anything else is refused with file and line.

    \b
    Example:
      ops-platform slo import sloth.yml --out objectives
    """
    import yaml

    from ops_platform.slo.objectives import sloth_import

    documents = sloth_import.convert(file)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        there = [name for name in documents if (directory / name).exists()]
        if there:
            raise ConfigurationError(f"{directory / there[0]}: is there already; choose another directory")
        for name, document in documents.items():
            text = yaml.safe_dump(document, sort_keys=False, width=110)
            (directory / name).write_text(text, encoding="utf-8")
            click.echo(str(directory / name))
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or directory}: cannot be written ({error.strerror}); choose another directory"
        ) from None


def _print(found: dict[Objective, list[WindowCount]]) -> None:
    from ops_platform.slo.reporting import Tally, error_budget

    rows, reasons = [], []
    for one, counts in found.items():
        tally = Tally.of(counts)
        left = error_budget.remaining(tally, one.target)
        rows.append(
            (
                one.id,
                tally.state,
                tally.good,
                tally.total,
                tally.bad,
                error_budget.percent(error_budget.achievement(tally)),
                error_budget.percent(one.target),
                "none to spend" if one.target == 1 else error_budget.percent(left, 1),
                f"{tally.windows - tally.missing} of {tally.windows}",
            )
        )
        reasons += [
            f"{one.id}, hour of {count.start:%Y-%m-%d %H:%M} UTC: {count.reason}"
            for count in counts
            if count.reason
        ]
    columns = (
        "objective",
        "state",
        "good",
        "all",
        "bad",
        "good %",
        "target %",
        "left %",
        "hours known",
    )
    output.print_table("exact counts", columns, rows)
    for reason in reasons[:REASONS]:
        click.echo(reason, err=True)
    if len(reasons) > REASONS:
        click.echo(f"and {len(reasons) - REASONS} more; --json has them all", err=True)


REASONS = 10


def _described(one: Objective) -> dict[str, Any]:
    return {
        "service": one.service,
        "slo": one.name,
        "title": one.title,
        "target": str(one.target),
        "period": str(one.period),
        "good": None if one.indicator.good is None else str(one.indicator.good),
        "bad": None if one.indicator.bad is None else str(one.indicator.bad),
        "total": str(one.indicator.total),
        "version": one.version,
    }


def _computed(one: Objective, counts: list[WindowCount]) -> dict[str, Any]:
    from dataclasses import asdict

    from ops_platform.slo.reporting import Tally, error_budget

    tally = Tally.of(counts)
    share, left = error_budget.achievement(tally), error_budget.remaining(tally, one.target)
    return {
        **_described(one),
        "state": tally.state,
        "good_events": tally.good,
        "total_events": tally.total,
        "achievement": None if share is None else float(share),
        "error_budget_remaining": None if left is None else float(left),
        "windows": [{**asdict(count), "state": count.state} for count in counts],
    }


slo.add_command(exclusion.exclusion)
slo.add_command(report.report)

COMMANDS = (slo,)
