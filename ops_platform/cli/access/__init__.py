"""Commands that make credentials for the guard before Dagster; who may do what stands in its accounts file.

The guard itself is ``ops_platform.guard``, started by a service manager.
"""

from ops_platform.cli.access.credentials import COMMANDS

__all__ = ["COMMANDS"]
