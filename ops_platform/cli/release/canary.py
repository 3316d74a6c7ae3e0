"""``ops-platform canary``: is a canary as good as the stable release? Exact counts, compared as they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from ops_platform.cli import arguments, output, source
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from ops_platform.slo.canary import Look
    from ops_platform.slo.objectives import Objective

EXIT_CODES = {"good": 0, "worse": 1, "spent": 1, "undecided": 3}


@click.group()
def canary() -> None:
    """Compare a canary with the stable release while it takes its share of the traffic."""


@canary.command()
@click.option("--canary", "canary_selector", required=True, help="Labels of its series: 'track=\"canary\"'.")
@click.option("--stable", "stable_selector", required=True, help="Labels of the others: 'track=\"stable\"'.")
@click.option("--objective", "name", required=True, help="Whose events count: service-name, as slo validate.")
@arguments.objectives
@source.prometheus
@click.option("--minutes", type=click.FloatRange(1, 1440), default=60.0, show_default=True, help="At most.")
@click.option(
    "--tolerance",
    type=float,
    default=1.5,
    show_default=True,
    help="Odds of a bad event, of those of the stable release, from which a canary is harmful.",
)
@click.option(
    "--error-rate",
    type=float,
    default=0.01,
    show_default=True,
    help="How often, at most, a canary no worse is called worse; and a harmful one good.",
)
@click.option(
    "--budget-share",
    type=click.FloatRange(0, 100, min_open=True),
    default=5.0,
    show_default=True,
    help="Percent of the period's error budget that it may spend.",
)
@click.option("--most-bad", type=int, default=None, help="Bad events that it may have, in place of a share.")
@click.option("--step", type=int, default=60, show_default=True, help="Seconds that are counted together.")
@click.option(
    "--settle", type=int, default=60, show_default=True, help="Seconds to wait for scrapes: more than one."
)
@click.option("--no-record", is_flag=True, help="Do not write the verdict into the audit ledger.")
@output.as_json
def watch(
    canary_selector: str,
    stable_selector: str,
    name: str,
    objectives: Path | None,
    url: str | None,
    minutes: float,
    tolerance: float,
    error_rate: float,
    budget_share: float,
    most_bad: int | None,
    step: int,
    settle: int,
    no_record: bool,
    json_output: bool,
) -> None:
    """Watch a canary until it is clear whether it may go on.

    Exact counts of both releases are compared minute by minute, by a sequential test: it may stop as soon as
    it is clear, and its error rates hold all the same. Harmful is a canary whose events are bad at odds of
    --tolerance times those of the stable release, or more, and at a share above what the objective allows.
    Whatever the test says, a canary is stopped that has more bad events than its part of the error budget.

    \b
    good       it is not harmful
    worse      its events are bad more often than those of the stable release
    spent      it has more bad events than it may
    undecided  too few events, or too many that cannot be counted

    \b
    Exit code: 0 good, 1 worse or spent, 3 undecided; 2 usage or configuration.

    \b
    Example:
      ops-platform canary watch --canary 'track="canary"' --stable 'track="stable"' \\
          --objective api-availability --minutes 30
    """
    from ops_platform.clients import prometheus_access
    from ops_platform.slo.canary import Limits, Pace, Releases, Watch

    settings = load_settings()
    objective = _objective(objectives or settings.config_dir / "objectives", name)
    releases = Releases.parse(canary_selector, stable_selector)
    pace = Pace(timedelta(seconds=step), timedelta(seconds=settle))
    limits = Limits(
        float(objective.budget),
        _most_bad(settings, objective, budget_share) if most_bad is None else most_bad,
        tolerance,
        error_rate,
    )
    client = prometheus_access.connect(settings, url=url, timeout_seconds=60)
    begun = datetime.now(UTC)
    own = client if objective.indicator.source is None else client.source(objective.indicator.source)
    watched = Watch(own, objective, releases, limits, begun, begun + timedelta(minutes=minutes), pace)
    look = None
    with output.progress_bar("watching") as progress:
        for look in watched.looks():
            progress(min(1.0, (look.at - begun) / timedelta(minutes=minutes)))
            if look.trouble:
                click.echo(f"not counted: {look.trouble}", err=True)
    if look is None:
        raise AssertionError("a watch ends with a look")
    found = {"objective": objective.id, "decided_at": look.at, **look.comparison.as_json()}
    found |= {"reason": look.reason}
    if not no_record:
        found |= _record(settings, objective, look)
    _print(found, json_output=json_output)
    output.end(EXIT_CODES[found["verdict"]])


def _objective(directory: Path, name: str) -> Objective:
    from ops_platform.slo.objectives import openslo

    loaded = openslo.load_directory(directory)
    for objective in loaded:
        if objective.id == name:
            return objective
    known = ", ".join(sorted(objective.id for objective in loaded))
    raise ConfigurationError(f"there is no objective {name} in {directory}: use one of {known}")


def _most_bad(settings: Settings, objective: Objective, share: float) -> int:
    from ops_platform.clients import postgres
    from ops_platform.slo.canary import budget

    if settings.database_url is None:
        raise ConfigurationError(
            "without OPS_DATABASE_URL the error budget is not known: say how many bad events are allowed "
            "with --most-bad"
        )
    with postgres.session(settings.database_url) as ops:
        return budget.most_bad(ops, objective, share / 100)


def _record(settings: Settings, objective: Objective, look: Look) -> dict[str, Any]:
    """Write the verdict into the ledger; return what becomes of it: without a record it is undecided."""
    import psycopg

    from ops_platform.audit import AuditEvent, append
    from ops_platform.clients import postgres
    from ops_platform.clients.safe_errors import describe
    from ops_platform.errors import OpsError

    event = AuditEvent(
        "canary.verdict",
        "event",
        str(uuid4()),
        f"objective/{objective.id}"[:500],
        f"person:{arguments.user()}",
        None,
        look.comparison.as_json(),
    )
    try:
        with postgres.session(settings.require("database_url")) as ops:
            append(ops, event)
    except (OpsError, psycopg.Error) as error:
        unwritten = f"the ledger has no record ({describe(error)}): repair that, or use --no-record"
        return {"verdict": "undecided", "reason": unwritten}
    return {}


def _print(found: dict[str, Any], *, json_output: bool) -> None:
    if json_output:
        output.print_json(found)
        return
    click.echo(f"{found['verdict']}: {found['reason']}")
    evidence = {name: f"10^{value:.1f}" for name, value in found["evidence_log10"].items()}
    click.echo(
        f"{found['known_intervals']} of {found['intervals']} intervals compared; evidence of worse "
        f"{evidence['worse']}, of not harmful {evidence['good']}, needed {evidence['needed']}"
    )


COMMANDS = (canary,)
