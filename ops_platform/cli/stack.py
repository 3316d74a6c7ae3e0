"""``ops-platform up, down, status, logs, env, load, migrate``: the embedded stack and the schemas."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING

import click

from ops_platform import files
from ops_platform.cli import output
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops_platform.local.demo.load import Limit, Step
    from ops_platform.slo.objectives import Objective


@click.command()
@click.argument("service", nargs=-1)
def up(service: tuple[str, ...]) -> None:
    """Start the embedded stack and Dagster, and take the first backups; or start each SERVICE only.

    Safe to repeat: running services are left alone, dead ones are started again. The state is kept in
    OPS_STATE_DIR, the ports start at OPS_PORT_BASE; with other values a second stack runs beside
    the first.

    \b
    Examples:
      ops-platform up
      ops-platform up prometheus       only this service, as after a change of its rules
    """
    _stack().up(load_settings(), output.console(), service)


@click.command()
@click.argument("service", nargs=-1)
def down(service: tuple[str, ...]) -> None:
    """Stop everything that the stack started, or each SERVICE only. The state is kept.

    'up' starts stopped services again.

    \b
    Example:
      ops-platform down traffic        no more writes to the demo product
    """
    _stack().down(load_settings(), output.console(), service)


@click.command()
@output.as_json
def status(json_output: bool) -> None:
    """Show the services, with state and address. Exit 1 unless everything is up.

    \b
    Example:
      ops-platform status && echo "everything is up"
    """
    settings = load_settings()
    services = _stack().status(settings)
    if json_output:
        output.print_json([service.as_json() for service in services])
    elif not services:
        click.echo(
            f"there is no stack in {settings.state_dir}: start one with 'ops-platform up', or set "
            "OPS_STATE_DIR to that of a running one",
            err=True,
        )
    else:
        columns = ("service", "state", "pid", "address", "note")
        rows = [
            (service.name, service.state, service.pid, service.address, service.note) for service in services
        ]
        output.print_table("embedded stack", columns, rows)
    if not services or any(not service.ready for service in services):
        output.end(1)


@click.command()
@click.argument("service", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on printing as lines are written.")
@click.option("--lines", "-n", default=50, show_default=True, type=click.IntRange(0))
def logs(service: str | None, follow: bool, lines: int) -> None:
    """Print the log of SERVICE, or the names of the services that have one.

    \b
    Example:
      ops-platform logs agent -f
    """
    for line in _stack().logs(load_settings(), service, lines=lines, follow=follow):
        click.echo(line)


@click.command()
def env() -> None:
    """Print ``export`` lines for the running stack.

    \b
    Example:
      eval "$(ops-platform env)"
    """
    for line in _stack().environment_lines(load_settings()):
        click.echo(line)


@click.command()
@click.option(
    "--from",
    "first",
    default=50.0,
    show_default=True,
    type=click.FloatRange(1, 10_000),
    metavar="RATE",
    help="Requests a second of the first step.",
)
@click.option(
    "--times",
    default=2.0,
    show_default=True,
    type=click.FloatRange(1.1, 10),
    help="How many times more the next step asks for.",
)
@click.option(
    "--steps",
    default=9,
    show_default=True,
    type=click.IntRange(1, 30),
    help="The most steps; it ends when less than half is answered well.",
)
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.5, 600),
    help="How long each step is measured.",
)
@output.as_json
def load(first: float, times: float, steps: int, seconds: float, json_output: bool) -> None:
    """Drive the demo product to saturation, and show where each objective breaks.

    Its traffic becomes more, step by step, and is set back at the end. What it writes and counts meanwhile is
    real: rows stay, budgets are spent, alerts fire. The last line says how to leave that time out.

    \b
    Example:
      ops-platform load --from 100 --times 1.5 --steps 12
    """
    from ops_platform.local.demo import load as load_test
    from ops_platform.slo.objectives import openslo

    settings = load_settings()
    objectives = openslo.load_files(settings.config_dir / "objectives")
    began = datetime.now(UTC)

    def told(step: Step) -> None:
        late = _seconds(step.p99)
        click.echo(f"{step.asked:.0f} requests/s: {step.served:.0f} answered well, p99 {late}", err=True)

    address = f"http://{settings.demo.traffic_listen_host}:{settings.demo.traffic_listen_port}"
    plan = load_test.Plan(first, times, steps, seconds)
    taken = load_test.run(address, settings.demo.traffic_rate, plan, objectives, told)
    if json_output:
        output.print_json(load_test.as_json(taken, objectives))
    else:
        _show_load(taken, load_test.limits(taken, objectives), objectives)
        span = " ".join(
            f"--{name} {at:%Y-%m-%dT%H:%M:%SZ}" for name, at in (("from", began), ("to", datetime.now(UTC)))
        )
        for service in sorted({objective.service for objective in objectives}):
            click.echo(f'ops-platform slo exclusion add --service {service} {span} --reason "load test"')


def _show_load(steps: Sequence[Step], limits: Sequence[Limit], objectives: Sequence[Objective]) -> None:
    output.print_table(
        "load, and how fast it burns each budget (1: as fast as is allowed)",
        ("requests/s", "answered well/s", "errors", "p50", "p99", *(one.id for one in objectives)),
        [_load_row(step, objectives) for step in steps],
    )
    output.print_table(
        "where each objective breaks",
        ("objective", "promised", "holds at", "breaks at"),
        [
            (
                limit.objective,
                f"{float(objective.target):.5g}",
                "-" if limit.held_at is None else f"{limit.held_at:.0f} requests/s",
                "not in these steps" if limit.broke_at is None else f"{limit.broke_at:.0f} requests/s",
            )
            for limit, objective in zip(limits, objectives, strict=True)
        ],
    )


def _load_row(step: Step, objectives: Sequence[Objective]) -> list[str]:
    """Lay out a step: what breaks an objective is marked."""
    cells = [
        f"{step.asked:.0f}",
        f"{step.served:.0f}",
        "-" if step.errors is None else f"{float(step.errors):.2%}",
        _seconds(step.p50),
        _seconds(step.p99),
    ]
    for objective in objectives:
        outcome = step.outcomes.get(objective.id)
        if outcome is None or not outcome.total:
            cells.append("no events")
            continue
        burn = outcome.burn(objective.target)
        text = f"{outcome.bad} bad" if burn is None else f"{float(burn):.1f}"
        cells.append(text if outcome.holds(objective.target) else f"{text} BROKEN")
    return cells


def _seconds(value: float | None) -> str:
    """Word a percentile; it is infinite beyond the product's last bucket."""
    if value is None:
        return "-"
    return "over 10 s" if math.isinf(value) else f"{value * 1000:.0f} ms"


@click.command()
def migrate() -> None:
    """Bring the ops database, and the footprint in the product database, to the current schema.

    Needs OPS_OWNER_DATABASE_URL and, for the product, OPS_PRODUCT_OWNER_DATABASE_URL, or libpq's own
    variables (PGSERVICE, PGHOST) for a product database without an ops database.

    \b
    Example:
      ops-platform migrate
    """
    from ops_platform.clients.postgres import migrations

    settings = load_settings()
    product = settings.product_owner_database_url
    if product is None and settings.product_database_url is None and settings.libpq_target is not None:
        product = ""
    targets = []
    if product is None or settings.owner_database_url is not None:
        ops = settings.require("owner_database_url")
        # The ops database is a stanza, too, and needs the footprint's heartbeat.
        targets += [("ops database", ops, "ops"), ("ops database", ops, "product")]
    if product is not None:
        targets.append(("product database", product, "product"))
    for name, url in dict.fromkeys((name, url) for name, url, _ in targets):
        output.announce(name, url)
    for name, url, folder in targets:
        applied = migrations.migrate(url, files.carried("sql") / folder)
        click.echo(f"{name}, sql/{folder}: {', '.join(applied) if applied else 'already current'}")


def _stack() -> ModuleType:
    from ops_platform.errors import ConfigurationError

    try:
        from ops_platform.local import stack
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the embedded stack needs the package {error.name}: pip install 'ops-platform[local]'"
        ) from None
    return stack


COMMANDS = (up, down, status, logs, env, load, migrate)
