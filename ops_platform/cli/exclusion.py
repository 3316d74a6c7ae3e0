"""``ops-platform slo exclusion``: times that an agreement leaves out of an objective."""

from __future__ import annotations

from datetime import datetime

import click

from ops_platform.cli import arguments, output
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings


@click.group()
def exclusion() -> None:
    """Times that an agreement leaves out, such as announced maintenance; the raw counts stay beside.

    The next run of slo_windows counts the hours that a new or withdrawn one touches again, and every
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
    known = openslo.load_directory(settings.config_dir / "objectives")
    wanted = exclusions.Exclusion(service, name, arguments.moment(since), arguments.moment(until))
    if not any(wanted.applies_to(one) for one in known):
        there = ", ".join(f"{one.service} {one.name}" for one in known)
        raise ConfigurationError(
            f"there is no objective {' '.join(filter(None, (service, name)))}: choose from {there}"
        )
    with postgres.session(settings.require("database_url")) as ops:
        number = exclusions.add(ops, wanted, reason, by or arguments.user())
    click.echo(f"exclusion {number}; the next run of slo_windows applies it")


@exclusion.command("list")
@output.as_json
def list_exclusions(json_output: bool) -> None:
    """All exclusions, withdrawn ones too, and the hours that do not say so.

    The next run of slo_windows applies what it can. Part of an hour of which Prometheus has no samples
    any more cannot be left out, nor put back.
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
    """The first few, and how many more."""
    shown = ", ".join(output.moment(start) for start in starts[:3])
    return f"{shown} and {len(starts) - 3} more" if len(starts) > 3 else shown


@exclusion.command("withdraw")
@click.argument("number", type=int)
@_by
def withdraw_exclusion(number: int, by: str | None) -> None:
    """Let an exclusion exclude nothing any more; it stays in the list."""
    from ops_platform.clients import postgres
    from ops_platform.slo.counting import exclusions

    with postgres.session(load_settings().require("database_url")) as ops:
        exclusions.withdraw(ops, number, by or arguments.user())
    click.echo(f"exclusion {number} is withdrawn; the next run of slo_windows applies it")
