"""The URLs of a map's other databases, from the environment variables that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.environment import Environment
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.gdpr.data_map import Database, DataMap
from ops_platform.settings import Settings

Connect = Callable[[], Connection]
"""Opens a connection. Raises ConfigurationError or Unavailable, which name the database."""


def of_settings(
    settings: Settings, data_map: DataMap, *, application: str = "ops-platform", autocommit: bool = False
) -> Mapping[str, Connect]:
    """Make the function that connects to each of the map's other databases, by name; connect to none."""
    return {
        part.database.name: partial(
            connect, settings, part.database, application=application, autocommit=autocommit
        )
        for part in data_map.databases
        if part.database is not None
    }


def connect(
    settings: Settings, database: Database, *, application: str = "ops-platform", autocommit: bool = False
) -> Connection:
    """Connect to a database. Raises ConfigurationError or Unavailable, which name it."""
    url = _url(settings, database)
    try:
        return postgres.connect(url, application=application, autocommit=autocommit)
    except Unavailable as error:
        raise Unavailable(f"database {database.name} ({database.url_env}): {error}") from None


@dataclass(frozen=True)
class Living:
    """A database as it is today: its name, OID and cluster's system identifier.

    Where it does not answer, the name that its URL has, which may be a pooler's, and no more.
    """

    name: str
    oid: int = 0
    cluster: str = ""


def living(settings: Settings, part: DataMap) -> Living:
    """Ask the database that a part of a map is about for its name.

    Raises ConfigurationError where the URL is missing, or names no database.
    """
    name = _name_in_url(settings, part)
    if part.database is None:
        raise ValueError("the home database has its own setting")
    try:
        with closing(connect(settings, part.database, application="ops-platform restore")) as connection:
            row = one_row(
                connection,
                "SELECT datname AS name, oid::bigint AS oid, "
                "(SELECT system_identifier::text FROM pg_control_system()) AS cluster "
                "FROM pg_database WHERE datname = current_database()",
            )
    except (Unavailable, psycopg.Error):
        return Living(name)
    return Living(row["name"], row["oid"], row["cluster"])


def _name_in_url(settings: Settings, part: DataMap) -> str:
    database = part.database
    if database is None:
        raise ValueError("the home database has its own setting")
    try:
        name = conninfo_to_dict(_url(settings, database)).get("dbname")
    except psycopg.ProgrammingError:
        name = None
    if not name:
        raise ConfigurationError(
            f"{database.url_env} names no database: add one to the URL of the data map's {database.name}"
        )
    return str(name)


def _url(settings: Settings, database: Database) -> str:
    environment = Environment({name: value.get_secret_value() for name, value in settings.environ.items()})
    url = environment.text(database.url_env)
    if not url:
        raise ConfigurationError(
            f"{database.url_env} is not set: it holds the URL of the data map's database {database.name}"
        )
    return url
