"""``ops-platform up, down, status, logs, env, migrate``: the embedded stack and the schemas."""

from __future__ import annotations

from types import ModuleType

import click

from ops_platform import files
from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.command()
@click.argument("service", nargs=-1)
def up(service: tuple[str, ...]) -> None:
    """Start the embedded stack and Dagster, and take the first backups; or start each SERVICE only.

    Safe to repeat: running services are left alone, dead ones are started again. The state is kept in
    OPS_STATE_DIR, the ports start at OPS_PORT_BASE; with other values a second stack runs beside
    the first.
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
    """Show the services, with state and address. Exit 1 unless everything is up."""
    services = _stack().status(load_settings())
    if json_output:
        output.print_json([service.as_json() for service in services])
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
    """Print the log of SERVICE, or the names of the services that have one."""
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
def migrate() -> None:
    """Bring the ops database, and the footprint in the product database, to the current schema.

    Needs OPS_OWNER_DATABASE_URL and, for the product, OPS_PRODUCT_OWNER_DATABASE_URL, or libpq's own
    variables (PGSERVICE, PGHOST) for a product database without an ops database.
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


COMMANDS = (up, down, status, logs, env, migrate)
