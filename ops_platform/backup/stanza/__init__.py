"""A stanza and its configuration: ``backups.yaml``, cron times, locks, pgBackRest's own file.

A stanza is one PostgreSQL cluster that is backed up. ``open_context`` opens what work on one needs. Not
here: what the repository holds (``backup.repository``), and how pgBackRest is run (``clients.pgbackrest``).
"""

from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.context import BackupContext, adopt_configuration, is_adopted, open_context
from ops_platform.backup.stanza.cron import Cron, longest_pause
from ops_platform.backup.stanza.living_here import choose_here, load_living_here
from ops_platform.backup.stanza.model import (
    AT,
    KINDS,
    PGBACKREST_TYPE,
    BackupConfig,
    Kind,
    Repository,
    Stanza,
    choose_stanza,
    cluster_of,
    dagster_name,
    parse_kind,
)
from ops_platform.backup.stanza.pgbackrest_conf import PgBackRestPaths
from ops_platform.backup.stanza.server_file import ServerFile

__all__ = [
    "AT",
    "KINDS",
    "PGBACKREST_TYPE",
    "BackupConfig",
    "BackupContext",
    "Cron",
    "Kind",
    "PgBackRestPaths",
    "Repository",
    "ServerFile",
    "Stanza",
    "adopt_configuration",
    "choose_here",
    "choose_stanza",
    "cluster_of",
    "config_file",
    "dagster_name",
    "is_adopted",
    "load_backups",
    "load_living_here",
    "locks",
    "longest_pause",
    "open_context",
    "parse_kind",
    "pgbackrest_conf",
]
