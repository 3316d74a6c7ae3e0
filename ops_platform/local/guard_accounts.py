"""Accounts of a stack at the guard before Dagster: one person, the command line, the agent."""

from __future__ import annotations

from pathlib import Path

import yaml

from ops_platform.guard import AccountsFile, Person, Program, fits, hash_password, hash_token
from ops_platform.local.host import SecretStore, write_private

PERSON = "admin"
PASSWORD, OPERATOR_TOKEN, AGENT_TOKEN = "dagster-password", "dagster-token", "dagster-agent-token"
"""Names of secrets."""
ACCOUNTS = "dagster-accounts.yaml"


def file(vault: SecretStore) -> Path:
    """Name the accounts file."""
    return vault.path(ACCOUNTS)


def write(vault: SecretStore) -> None:
    """Write the accounts file of a new stack; later, what somebody has added to it stays.

    The stack's own three accounts are set right, should their secrets or the file have changed.
    """
    path = file(vault)
    document = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    known = AccountsFile.model_validate(document or {})
    password = vault.token(PASSWORD, 18)
    stored = known.people.get(PERSON)
    if stored is None or stored.password is None or not fits(password, stored.password):
        stored = Person(role="admin", password=hash_password(password))
    programs = {
        "console": Program(
            role="operator",
            token=hash_token(vault.token(OPERATOR_TOKEN)),
            reason="asked for on the command line",
        ),
        "agent": Program(role="viewer", token=hash_token(vault.token(AGENT_TOKEN))),
    }
    wanted = AccountsFile(people={**known.people, PERSON: stored}, programs={**known.programs, **programs})
    if wanted != known:
        text = yaml.safe_dump(wanted.model_dump(exclude_none=True), sort_keys=False)
        write_private(
            path, "# Who may use Dagster: docs/operators.md. Passwords and tokens as hashes.\n" + text
        )
