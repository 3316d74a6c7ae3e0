"""``ops-platform slo exclusion``: times that an agreement leaves out of an objective."""

from __future__ import annotations

from datetime import datetime

import click

from ops_platform.cli import arguments, output
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings


@click.group()
def exclusion() -> None:
    """Exclude times by agreement, such as announced maintenance; the raw counts are kept.

    The next run of slo_windows counts the hours of a new or withdrawn exclusion again, and computes every
    figure that depends on them.
    """


_by = click.option("--by", default=None, help="Who decided it; else the user of this system.")


@exclusion.command("add")
@click.option("--service", required=True)
@click.option("--slo", "name", default=None, help="One objective of it; else all.")
@click.option("--from", "since", required=True, help="UTC: 2026-01-31T14:00.")
@click.option("--to", "until", required=True, help="UTC; may lie in the future.")
@click.option("--reason", required=True, help="For the record, and for the reports.")
@_by
def add_exclusion(
    service: str, name: str | None, since: str, until: str, reason: str, by: str | None
) -> None:
    """Leave a time out of an objective, or of all objectives of a service.

    \b
    Example:
      ops-platform slo exclusion add --service api --from 2026-01-31T02:00 --to 2026-01-31T03:30 \\
          --reason "announced upgrade of the database"
    """
    from ops_platform.clients import postgres
    from ops_platform.slo.counting import exclusions
    from ops_platform.slo.objectives import openslo

    settings = load_settings()
    objectives = openslo.load_directory(settings.config_dir / "objectives")
    new = exclusions.Exclusion(service, name, arguments.moment(since), arguments.moment(until))
    if not any(new.applies_to(objective) for objective in objectives):
        names = ", ".join(f"{objective.service} {objective.name}" for objective in objectives)
        raise ConfigurationError(
            f"there is no objective {' '.join(filter(None, (service, name)))}: choose from {names}"
        )
    with postgres.session(settings.require("database_url")) as ops:
        number = exclusions.add(ops, new, reason, by or arguments.user())
    click.echo(f"exclusion {number}; the next run of slo_windows applies it")


@exclusion.command("list")
@output.as_json
def list_exclusions(json_output: bool) -> None:
    """List all exclusions, also withdrawn ones, and the hours to which they are not applied.

    The next run of slo_windows applies what it can. A part of an hour cannot be left out, nor put back,
    when Prometheus has no samples of it any more.

    \b
    Example:
      ops-platform slo exclusion list --json
    """
    from ops_platform.clients import postgres
    from ops_platform.slo.counting import exclusions

    with postgres.session(load_settings().require("database_url")) as ops:
        rows = exclusions.history(ops)
    if json_output:
        output.print_json(rows)
        return
    output.print_table(
        "exclusions",
        ("id", "service", "objective", "from", "to", "reason", "by", "withdrawn", "not applied"),
        [
            (
                row["id"],
                row["service"],
                row["slo"] or "all",
                output.moment(row["starts_at"]),
                output.moment(row["ends_at"]),
                row["reason"],
                row["created_by"],
                "" if row["withdrawn_at"] is None else output.moment(row["withdrawn_at"]),
                _hours(row["not_applied"]),
            )
            for row in rows
        ],
    )


def _hours(starts: list[datetime]) -> str:
    """Show the first three hours, and how many more there are."""
    shown = ", ".join(output.moment(start) for start in starts[:3])
    return f"{shown} and {len(starts) - 3} more" if len(starts) > 3 else shown


@exclusion.command("withdraw")
@click.argument("number", type=int)
@_by
def withdraw_exclusion(number: int, by: str | None) -> None:
    """Withdraw an exclusion: it excludes nothing any more, and stays in the list.

    \b
    Example:
      ops-platform slo exclusion withdraw 3
    """
    from ops_platform.clients import postgres
    from ops_platform.slo.counting import exclusions

    with postgres.session(load_settings().require("database_url")) as ops:
        exclusions.withdraw(ops, number, by or arguments.user())
    click.echo(f"exclusion {number} is withdrawn; the next run of slo_windows applies it")
