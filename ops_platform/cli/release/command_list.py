"""All of the package's commands."""

from ops_platform.cli.release import canary, gate

COMMANDS = (*gate.COMMANDS, *canary.COMMANDS)
