"""Restoring with pgBackRest into a directory, starting the server there, and cleaning up after it.

Scratch clusters live and die here. Nothing is judged.
"""

from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.restore.scratch_cluster import NotRemoved
from ops_platform.dr.restore.workspace import Workspace

__all__ = ["NotRemoved", "RestoredServer", "Workspace", "pgbackrest_restore", "scratch_cluster", "workspace"]
