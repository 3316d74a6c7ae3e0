"""``ops-platform guard``: hashes of passwords and tokens for the accounts file of the guard."""

from __future__ import annotations

import secrets
import sys

import click

from ops_platform.errors import ConfigurationError

SHORTEST_PASSWORD = 12


@click.group()
def guard() -> None:
    """Make credentials for the guard before Dagster (docs/operators.md)."""


@guard.command()
def password() -> None:
    """Read a password, and print its hash for the accounts file.

    \b
    Example:
      ops-platform guard password        asks for it, without showing it
      pwgen 20 1 | tee /dev/tty | ops-platform guard password
    """
    from ops_platform.guard import hash_password

    if sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if len(given) < SHORTEST_PASSWORD:
        raise ConfigurationError(f"a password has at least {SHORTEST_PASSWORD} characters: take a longer one")
    click.echo(hash_password(given))


@guard.command()
def token() -> None:
    """Print a new random token for a program, and the hash of it for the accounts file.

    \b
    Example:
      ops-platform guard token
    """
    from ops_platform.guard import hash_token

    made = secrets.token_urlsafe(32)
    click.echo(f"OPS_DAGSTER_TOKEN={made}")
    click.echo(hash_token(made))


COMMANDS: tuple[click.Command, ...] = (guard,)
