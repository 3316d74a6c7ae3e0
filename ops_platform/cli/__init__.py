"""The command line ``ops-platform``: parses arguments, calls the duties, prints results. No logic lives here.

Exit codes: 0 done, and the answer is yes; 1 a check failed, or the answer is no; 2 usage or configuration.
"""

from __future__ import annotations

import functools
import select
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

import click

from ops_platform import __version__
from ops_platform.cli import (
    access,
    alerting,
    audit,
    backup,
    dr,
    gdpr,
    overview,
    release,
    repair,
    restore,
    slo,
    stack,
    upkeep,
)
from ops_platform.clients import safe_errors
from ops_platform.errors import OpsError
from ops_platform.settings import Duty, load_host

__all__ = ["main"]

HELP = """Operate a PostgreSQL-backed product: verified backups, recovery, SLOs, data subjects' rights.

\b
First steps:
  ops-platform                  the state of the four duties, in five lines
  ops-platform up               start the embedded stack and the demo product
  ops-platform status           what runs, where
  ops-platform backups          the backup sets, and how much would be lost now
  ops-platform backup full      take a backup without Dagster
  ops-platform dr exercise      restore for real beside production, and measure it
  ops-platform restore --help   the restore of an emergency
  ops-platform slo compute      count an objective's events exactly, on any Prometheus
  ops-platform gdpr map check   is every column of the database classified?
  ops-platform audit verify     prove that the audit ledger is untouched
  ops-platform gate             may a release go on now?
  ops-platform canary watch     is the canary as good as the stable release?

Settings come from OPS_... environment variables; beside a running embedded stack none is needed.
"""


class _Commands(click.Group):
    """A group whose broken pipes are looked at: click ends the process for any of them, without a word."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if not _reader_is_gone():
                _unexpected(error)
            sys.stderr.close()  # Python would complain about stdout
            sys.exit(0)


@click.group(
    cls=_Commands,
    help=HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ops-platform")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    context.obj = {"debug": debug}
    if context.invoked_subcommand is None:
        overview.show()


# A restore is of no duty: in an emergency any host may have to do it. Nor is a release, which only asks.
OF_NO_DUTY = (stack, restore, release, access)
OF_DUTIES: Mapping[Duty, Sequence[ModuleType]] = {
    "backup": (backup, repair),
    "dr": (dr,),
    "slo": (slo,),
    "gdpr": (gdpr,),
    "housekeeping": (audit, alerting, upkeep),
}


def _only_with(duty: Duty, command: click.Command) -> None:
    """Let the command, or each within the group, end before it begins on a host without the duty."""
    if isinstance(command, click.Group):
        for within in command.commands.values():
            _only_with(duty, within)
    if command.callback is None or isinstance(command, click.Group):
        return
    do = command.callback

    @functools.wraps(do)
    def checked(*args: Any, **kwargs: Any) -> Any:
        load_host().require(duty)
        return do(*args, **kwargs)

    command.callback = checked


for module in OF_NO_DUTY:
    for command in module.COMMANDS:
        cli.add_command(command)
for duty, modules in OF_DUTIES.items():
    for module in modules:
        for command in module.COMMANDS:
            _only_with(duty, command)
            cli.add_command(command)


def main() -> None:
    """Run the console script; an error becomes one line on stderr and the exit code of its kind."""
    safe_errors.guard()
    try:
        code = cli.main(prog_name="ops-platform", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        _fail("interrupted", 130, error)
    except OpsError as error:
        _fail(str(error), error.exit_code, error)
    except Exception as error:
        advice = safe_errors.database_advice(error)
        if advice is not None:
            _fail(advice, 2, error)
        _unexpected(error)
    sys.exit(code if isinstance(code, int) else 0)


def _unexpected(error: Exception) -> NoReturn:
    # Messages of unforeseen errors can quote data or secrets: only the kind is shown.
    _fail(f"unexpected {type(error).__name__}; run again with --debug and report it", 1, error)


def _reader_is_gone() -> bool:
    """Tell whether whoever read our output ended (``| head``): a broken socket is no such thing."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _fail(line: str, code: int, error: BaseException) -> NoReturn:
    click.echo(f"ops-platform: {line}", err=True)
    if "--debug" in sys.argv:
        click.echo(safe_errors.frames(error), err=True)
    sys.exit(code)
