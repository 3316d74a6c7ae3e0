"""The databases of a stanza in which erased subjects may have come back, by the data map's databases.

A subject's tombstone is the product's; where the map names further databases, a restore of their stanza
brings the same subjects back.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform import lined_yaml
from ops_platform.backup.stanza import load_backups
from ops_platform.dr.verification import backup_expiry
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr import connections
from ops_platform.gdpr.data_map import DataMap, parser
from ops_platform.settings import Settings


def subjects_stanza(settings: Settings, stanza: str) -> str:
    """Return the stanza whose tombstones are about the subjects in ``stanza``: itself, or the product's.

    Raises ConfigurationError for a map with several databases that cannot be read.
    """
    data_map = _with_databases(settings)
    if data_map is None or not _parts(data_map, stanza):
        return stanza
    return backup_expiry.product_stanza(settings, load_backups(settings)).cluster


def parts_in(settings: Settings, data_map: DataMap, stanza: str) -> list[tuple[DataMap, str]]:
    """List the parts of the map about databases of this stanza's cluster, with each one's name there.

    Raises ConfigurationError where a URL is missing, or names no database.
    """
    return [(part, connections.database_name(settings, part)) for part in _parts(data_map, stanza)]


def further_stanzas(settings: Settings, stanza: str) -> set[str]:
    """List the further stanzas whose backups hold subjects of ``stanza``; none where it is not the product's.

    Raises ConfigurationError.
    """
    data_map = _with_databases(settings)
    if data_map is None:
        return set()
    named = {part.database.stanza for part in data_map.databases if part.database and part.database.stanza}
    if not named:
        return set()
    own = backup_expiry.product_stanza(settings, load_backups(settings)).cluster
    return named - {own} if stanza == own else set()


def _parts(data_map: DataMap, stanza: str) -> list[DataMap]:
    return [part for part in data_map.databases if part.database and part.database.stanza == stanza]


def _with_databases(settings: Settings) -> DataMap | None:
    """Load the map if it names further databases; one that cannot be read keeps no other stanza waiting."""
    file = settings.config_dir / "data_map.yaml"
    if not file.is_file():
        return None
    try:
        said = lined_yaml.load_one(file).value
    except ConfigurationError:
        return None
    return parser.load(file) if isinstance(said, Mapping) and said.get("databases") else None
