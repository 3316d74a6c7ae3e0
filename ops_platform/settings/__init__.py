"""Typed settings of the process, read from its environment.

Every secret ``NAME`` may be given as ``NAME_FILE`` instead, the path of a file that holds it.
When ``OPS_DATABASE_URL`` is not set and the state directory holds an ``environment`` file (the
embedded stack writes one), its lines serve as defaults: the command line then works beside a
running stack with nothing exported. Its product database is none where libpq's own variables name another.
What belongs into a file of its own (stanzas, data map, objectives) is not here.
"""

from ops_platform.settings.data_subjects import ApiSettings, GdprSettings, JwtSettings, PageSettings
from ops_platform.settings.duties import AgentSettings
from ops_platform.settings.guard import GuardSettings
from ops_platform.settings.host import DUTIES, Duty, HostSettings
from ops_platform.settings.object_storage import (
    BACKUP_ROLES,
    S3_ROLES,
    S3Identity,
    S3Place,
    S3Settings,
    named_for,
)
from ops_platform.settings.process import Settings
from ops_platform.settings.prometheus import PrometheusSettings, source_prefix
from ops_platform.settings.reader import load_host, load_settings

__all__ = [
    "BACKUP_ROLES",
    "DUTIES",
    "S3_ROLES",
    "AgentSettings",
    "ApiSettings",
    "Duty",
    "GdprSettings",
    "GuardSettings",
    "HostSettings",
    "JwtSettings",
    "PageSettings",
    "PrometheusSettings",
    "S3Identity",
    "S3Place",
    "S3Settings",
    "Settings",
    "load_host",
    "load_settings",
    "named_for",
    "source_prefix",
]
