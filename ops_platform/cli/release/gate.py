"""``ops-platform gate``: may a release go on now? And the overrides of whoever answers for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.gate import Decision


@click.group(invoke_without_command=True)
@click.option("--service", default=None, help="The service that is released; default: all of them.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="Instead of gate.yaml in OPS_CONFIG_DIR.",
)
@click.option("--no-record", is_flag=True, help="Do not write the decision into the audit ledger.")
@output.as_json
@click.pass_context
def gate(
    context: click.Context,
    service: str | None,
    policy_file: Path | None,
    no_record: bool,
    json_output: bool,
) -> None:
    """Say whether a release may go on, and every reason, in order.

    Error budgets, firing alerts, what would be lost now, sets that were read, exercises, data subjects'
    requests, the audit ledger, migrations, freeze windows. What is not known never allows.

    \b
    Exit code: 0 allow, 1 deny, 3 undecided; 2 usage or configuration.

    \b
    Examples:
      ops-platform gate --service shop
      ops-platform gate --json --policy release.yaml
    """
    if context.invoked_subcommand is not None:
        return
    from ops_platform.gate import GateAnswers, load_policy

    answers = GateAnswers(load_settings(), load_policy(policy_file) if policy_file else None)
    decision = answers.decide(service)
    if not no_record:
        decision = answers.record(decision, f"person:{arguments.user()}")
    if json_output:
        output.print_json(decision.as_json())
    else:
        _print(decision)
    if decision.exit_code:
        output.end(decision.exit_code)


@gate.command()
@click.option("--service", default=None, help="The service that it is for; default: every one.")
@click.option("--check", "checks", multiple=True, required=True, help="The check that it covers; repeatable.")
@click.option("--by", required=True, help="Who answers for it.")
@click.option("--because", required=True, help="Why; it is in the audit ledger and in the next report.")
@click.option("--hours", type=float, required=True, help="How long it holds; seven days at most.")
def override(service: str | None, checks: tuple[str, ...], by: str, because: str, hours: float) -> None:
    """Let named checks allow for a while, on somebody's word.

    It goes into the audit ledger before it holds, and every decision that it changes names it.

    \b
    Example:
      ops-platform gate override --service shop --check recovery_point \\
          --by ada --because 'the archive moves to another bucket, ticket 81' --hours 2
    """
    from ops_platform.clients import postgres
    from ops_platform.gate import override as overrides

    now = datetime.now(UTC)
    made = overrides.Override(service, checks, by, because, now + timedelta(hours=hours))
    with postgres.session(load_settings().require("database_url")) as ops:
        overrides.make(ops, made, now)
    click.echo(f"{', '.join(checks)} of {service or 'every service'}: {made.said()}")


def _print(decision: Decision) -> None:
    rows = []
    for reason in decision.reasons:
        text = reason.text + (f" (overridden by {reason.override})" if reason.override else "")
        age = None if reason.age_seconds is None else output.duration(reason.age_seconds)
        rows.append((reason.check, reason.verdict, age, text))
    columns = ("check", "verdict", "as of", "reason")
    output.print_table(f"{decision.verdict}: {decision.service or 'every service'}", columns, rows)


COMMANDS = (gate,)
