"""Commands by which a person puts a repository or a stanza in order again: after a loss, after an upgrade.

Not here: restores (``cli.restore``), and what looks only (``cli.backup``).
"""

from ops_platform.cli.repair.commands import COMMANDS

__all__ = ["COMMANDS"]
