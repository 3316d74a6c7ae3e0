"""Commands that say whether a release may go on: the gate, and the watch of a canary."""

from ops_platform.cli.release.command_list import COMMANDS

__all__ = ["COMMANDS"]
