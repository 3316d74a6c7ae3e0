"""The URLs of a map's other databases, from the environment variables that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
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


def database_name(settings: Settings, part: DataMap) -> str:
    """Return the name in its cluster of the database that a part of a map is about.

    Raises ConfigurationError where the URL is missing, or names none.
    """
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
