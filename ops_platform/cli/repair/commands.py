"""All commands of this package."""

from ops_platform.cli.repair import repository, stanza

COMMANDS = (*repository.COMMANDS, *stanza.COMMANDS)
