"""Restore with pgBackRest into a directory, the server started there, and the cleanup after it.

Makes and removes scratch clusters. Checks nothing: that is in ``dr.verification``.
"""

from ops_platform.dr.restore.fetch_watch import FetchWatch
from ops_platform.dr.restore.repository_view import LiveRepository, RepositoryView
from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.restore.scratch_cluster import NotRemoved
from ops_platform.dr.restore.tablespace_map import Placement, Tablespace
from ops_platform.dr.restore.workspace import Workspace

__all__ = [
    "FetchWatch",
    "LiveRepository",
    "NotRemoved",
    "Placement",
    "RepositoryView",
    "RestoredServer",
    "Tablespace",
    "Workspace",
    "past_repository",
    "pgbackrest_restore",
    "scratch_cluster",
    "tablespace_map",
    "workspace",
]
