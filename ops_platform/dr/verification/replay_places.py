"""The databases of a stanza in which erased subjects may have come back, by the data map's databases.

A subject's tombstone is the product's; where the map names further databases, a restore of their stanza
brings the same subjects back. Only of the product's own stanza and the ops database's is that known without
a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ops_platform import lined_yaml
from ops_platform.backup.stanza import BackupConfig, load_backups
from ops_platform.dr.verification import backup_expiry
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr import connections
from ops_platform.gdpr.connections import Living
from ops_platform.gdpr.data_map import DataMap, parser
from ops_platform.settings import Settings

_PRODUCT, _OPS = "${OPS_PRODUCT_DATABASE_URL}", "${OPS_DATABASE_URL}"


def subjects_stanza(settings: Settings, stanza: str) -> str:
    """Return the stanza whose tombstones are about the subjects in ``stanza``: itself, or the product's.

    Without a map a stanza may be of a database that the map named: the product's tombstones, which cannot be
    replayed without it, tell whether that matters. Raises ConfigurationError for a map that cannot be read
    and may name ``stanza``.
    """
    file, config = _map_file(settings), load_backups(settings)
    product = _product(settings, config)
    is_own = stanza == product or stanza in _connected(config, _OPS)
    if not file.is_file():
        return stanza if is_own or product is None else product
    if is_own and not _names_databases(file):
        return stanza
    if not _parts(parser.load(file), stanza):
        return stanza
    return backup_expiry.product_stanza(settings, config).cluster


def parts_in(settings: Settings, data_map: DataMap, stanza: str) -> list[tuple[DataMap, Living]]:
    """List the parts of the map about databases of this stanza's cluster, with what each is known by.

    Raises ConfigurationError where a URL is missing, or names no database.
    """
    return [(part, connections.living(settings, part)) for part in _parts(data_map, stanza)]


def names_then(
    parts: Sequence[tuple[DataMap, Living]], cluster: str, there: Mapping[int, str], own: str
) -> list[tuple[DataMap, str, bool]]:
    """Find the name of each part's database in a restored server, and tell whether it is there.

    A database keeps its OID when it is renamed, and the name in a pooler's URL need not be its own.
    ``cluster``: the restored one's system identifier; ``there``: its databases' names by OID; ``own``: the
    name of the one whose part of the map is none of these. Raises CheckFailed where nobody can tell: the
    database of today says nothing, and the server has others that the map does not name.
    """
    named = [(part, *_name_then(living, cluster, there)) for part, living in parts]
    others = sorted({*there.values()} - {own, "postgres", *(name for _, name, _ in named)})
    for (part, name, is_there), (_, living) in zip(named, parts, strict=True):
        if not is_there and living.cluster != cluster and others:
            said = part.database.name if part.database else ""
            raise CheckFailed(
                f"there is no database {name} in the restored moment, but {', '.join(others)}, and by the "
                f"URL of the data map's {said} no database of this cluster answers that could tell "
                "whether it is one of these: set the URL to its name of then; if it was made later, restore "
                "with a data map without it"
            )
    return named


def _name_then(living: Living, cluster: str, there: Mapping[int, str]) -> tuple[str, bool]:
    if living.cluster == cluster and living.oid in there:
        return there[living.oid], True
    return living.name, living.name in there.values()


def further_stanzas(settings: Settings, stanza: str) -> set[str]:
    """List the further stanzas whose backups hold subjects of ``stanza``; none where it is not the product's.

    Raises ConfigurationError, also for a map that is missing: nobody knows then what it named.
    """
    if stanza != _product(settings, load_backups(settings)):
        return set()
    databases = [part.database for part in parser.load(_map_file(settings)).databases]
    return {database.stanza for database in databases if database and database.stanza} - {stanza}


def _map_file(settings: Settings) -> Path:
    return settings.config_dir / "data_map.yaml"


def _parts(data_map: DataMap, stanza: str) -> list[DataMap]:
    return [part for part in data_map.databases if part.database and part.database.stanza == stanza]


def _product(settings: Settings, config: BackupConfig) -> str | None:
    """Name the product's stanza, also on a host that has no URL of the product; None: there is none."""
    known = backup_expiry.known_product_stanza(settings, config)
    return known.cluster if known else next(iter(_connected(config, _PRODUCT)), None)


def _connected(config: BackupConfig, connection: str) -> list[str]:
    return [name for name, stanza in config.clusters.items() if stanza.connection == connection]


def _names_databases(file: Path) -> bool:
    """Tell whether the map names further databases; one that is no YAML keeps no stanza of ours waiting."""
    try:
        said = lined_yaml.load_one(file).value
    except ConfigurationError:
        return False
    return isinstance(said, Mapping) and bool(said.get("databases"))
