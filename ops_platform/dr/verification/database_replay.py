"""The replay of tombstones in the databases of one product: of a restored server, or of those that serve now.

Which tombstones, and what is said of it, is in ``erasure_replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

from ops_platform import files
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import replay_places
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.gdpr import connections, schema
from ops_platform.gdpr.after_restore import Replayed, older_schema
from ops_platform.gdpr.after_restore import replay as replay_engine
from ops_platform.gdpr.connections import Living, OpenDatabase
from ops_platform.gdpr.data_map import DataMap, parser
from ops_platform.gdpr.tombstones import Tombstone, encryption
from ops_platform.settings import Settings

FOOTPRINT_OWNER = "ops_owner"
_ERASER = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_eraser') THEN CREATE ROLE ops_eraser; END IF;
END $$
"""


def in_server(
    server: RestoredServer,
    stanza: str,
    connection: Connection,
    database: str,
    settings: Settings,
    tombstones: Sequence[Tombstone],
    log: Callable[[str], None],
) -> Replayed:
    """Replay in the databases of a restored server; not in ``database`` where no row of subjects is.

    ``connection`` is to ``database``. Raises CheckFailed when anything is left, or nobody can say whose a
    name is; ConfigurationError.
    """
    data_map = parser.load(settings.config_dir / "data_map.yaml")
    parts = replay_places.parts_in(settings, data_map, stanza)
    keys = encryption.optional_keys(settings)
    with ExitStack() as stack:
        restored = replay_places.subjects_stanza(settings, stanza) == stanza
        if restored:
            _migrate_footprint(connection, server.url(database, FOOTPRINT_OWNER), log)
        done, home = Replayed(len(tombstones), 0, ()), None
        if parts and restored:
            home = replay_engine.opened(connection, data_map)
        elif parts:
            serving = _serving(settings, stack)
            catalogue = schema.read(serving)
            home = OpenDatabase(older_schema.fit(data_map, catalogue), serving, catalogue)
        for part, name, is_there in _names_then(parts, connection, database) if parts else ():
            if not is_there:
                log(f"there is no database {name} in the restored moment")
                done |= Replayed(len(tombstones), 0, (), not_there=(name,))
                continue
            other = stack.enter_context(server.connect(name))
            _migrate_footprint(other, server.url(name, FOOTPRINT_OWNER), log)
            done |= replay_engine.replay(other, part, tombstones, log, keys, home)
        if restored:
            # Last: the row says by which names of then the other databases are searched.
            done |= replay_engine.replay(connection, data_map, tombstones, log, keys)
        return done


def _names_then(
    parts: Sequence[tuple[DataMap, Living]], restored: Connection, own: str
) -> list[tuple[DataMap, str, bool]]:
    row = one_row(restored, "SELECT system_identifier::text AS cluster FROM pg_control_system()")
    rows = restored.execute(
        "SELECT oid::bigint AS oid, datname AS name FROM pg_database WHERE datallowconn AND NOT datistemplate"
    )
    there = {database["oid"]: database["name"] for database in rows}
    return replay_places.names_then(parts, row["cluster"], there, own)


def erase_again(
    connection: Connection, settings: Settings, tombstones: Sequence[Tombstone], log: Callable[[str], None]
) -> Replayed:
    """Replay tombstones in the product databases that serve now; the map is read only when there are any."""
    if not tombstones:
        return Replayed(0, 0, ())
    data_map = parser.load(settings.config_dir / "data_map.yaml")
    keys = encryption.optional_keys(settings)
    connect = connections.of_settings(settings, data_map, application="ops-platform erasure", autocommit=True)
    with connections.connected(connect) as others:
        done = Replayed(len(tombstones), 0, ())
        databases = connections.read(replay_engine.opened(connection, data_map), others) if others else ()
        for database in databases[1:]:
            with database.named():
                done |= replay_engine.replay(
                    database.connection, database.data_map, tombstones, log, keys, database.home
                )
        return done | replay_engine.replay(connection, data_map, tombstones, log, keys)


def _serving(settings: Settings, stack: ExitStack) -> Connection:
    """Connect to the product database that serves, which alone says whose a name is by now."""
    try:
        return stack.enter_context(product(settings))
    except Unavailable as error:
        raise CheckFailed(
            f"{error}: it says whose a name is by now: start it, then run the replay again, and let the "
            "restored database take no traffic before"
        ) from None


def product(settings: Settings) -> AbstractContextManager[Connection]:
    """Open the product database as the role that erases. Raises ConfigurationError or Unavailable."""
    url = settings.product_eraser_database_url or settings.require("product_database_url")
    return postgres.session(url, application="ops-platform erasure", autocommit=True)


def _has_newest_tables(connection: Connection) -> bool:
    """Tell whether every migration of a product database was applied, as its record says.

    Not by one table of the newest: the next migration would be missed again.
    """
    row = one_row(connection, "SELECT to_regclass('ops_platform._yoyo_migration') IS NOT NULL AS kept")
    if not row["kept"]:
        return False
    applied = {
        row["migration_id"]
        for row in connection.execute("SELECT migration_id FROM ops_platform._yoyo_migration")
    }
    return {file.stem for file in (files.carried("sql") / "product").glob("*.sql")} <= applied


def _migrate_footprint(connection: Connection, owners_url: str, log: Callable[[str], None]) -> None:
    """Make the tables in which an erasure notes its progress; the backup may be older than they are."""
    if not _has_newest_tables(connection):
        connection.execute(_ERASER)
        from ops_platform.clients.postgres.migrations import migrate  # loads yoyo, only for an old copy

        made = migrate(owners_url, files.carried("sql") / "product")
        log(f"the backup is older than the platform's tables: brought up to date by {', '.join(made)}")
