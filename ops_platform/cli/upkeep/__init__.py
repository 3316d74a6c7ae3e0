"""Commands for the upkeep of the platform by people: the calendar of duties."""

from ops_platform.cli.upkeep.duty import COMMANDS

__all__ = ["COMMANDS"]
