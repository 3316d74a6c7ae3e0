"""``ops-platform duty``: which duties of the calendar are due, and that somebody did one."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.group()
def duty() -> None:
    """Show and acknowledge the recurring duties of the calendar."""


@duty.command("list")
@output.as_json
def list_duties(json_output: bool) -> None:
    """List every duty: when it was done last, by whom, and when it is due; exit 1 when one is overdue.

    What a schedule does counts as done when its work is on record in the ops database; everything else when
    somebody said so. A duty that was never done is due.

    \b
    Example:
      ops-platform duty list
    """
    from ops_platform.backup.stanza import load_backups
    from ops_platform.clients import postgres
    from ops_platform.housekeeping import calendar

    settings = load_settings()
    known = calendar.load_calendar(settings.config_dir)
    stanzas = list(load_backups(settings).stanzas)
    now = datetime.now(UTC)
    with postgres.session(settings.require("database_url")) as ops:
        found = calendar.standings(ops, known, stanzas, now)
    if json_output:
        output.print_json(
            [
                {
                    "name": one.name,
                    "stanza": one.stanza or None,
                    "every": one.definition.every,
                    "what": one.definition.what,
                    "evidence": one.definition.evidence,
                    "state": one.state(now),
                    "done_at": one.done_at,
                    "done_by": one.done_by,
                    "note": one.note,
                    "due_at": one.due_at,
                }
                for one in found
            ]
        )
    else:
        rows = [
            (
                f"{one.name} of {one.stanza}" if one.stanza else one.name,
                one.definition.every,
                one.state(now),
                output.moment(one.due_at),
                "never" if one.done_at is None else output.moment(one.done_at),
                one.done_by,
                one.note,
            )
            for one in found
        ]
        output.print_table("duties", ("duty", "every", "state", "due", "done", "by", "note"), rows)
    if any(one.state(now) == "overdue" for one in found):
        output.end(1)


@duty.command()
@click.argument("name")
@click.option("--by", required=True, help="Who did it.")
@click.option("--note", required=True, help="What was done and found; it is in the audit ledger.")
def done(name: str, by: str, note: str) -> None:
    """Say that a duty that no schedule does was done now.

    \b
    Example:
      ops-platform duty done contact_list --by ada --note 'all numbers called, two corrected'
    """
    from ops_platform.clients import postgres
    from ops_platform.housekeeping import calendar

    settings = load_settings()
    known = calendar.load_calendar(settings.config_dir)
    with postgres.session(settings.require("database_url")) as ops:
        calendar.acknowledge(ops, known, name, by, note)
    click.echo(f"{name}: done by {by}, and due again within a {known.duties[name].every}")


COMMANDS = (duty,)
