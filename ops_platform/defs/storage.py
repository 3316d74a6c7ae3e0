"""Dagster's storage in PostgreSQL, with connections that are kept. ``dagster.yaml`` names it.

Not here: what is stored, which is Dagster's own, and the locks of workers (``worker_lock``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config

from ops_platform.defs.worker_lock import LockedEventLog

KEPT_CONNECTIONS = 3
"""Connections that a process keeps: a run's worker holds one with its lock, some calls hold one and use
another. More are closed after use."""


class PooledPostgresStorage(DagsterPostgresStorage):
    """PostgreSQL storage whose three parts share one pool in each process.

    Dagster's own opens a connection for every statement, hundreds for a run, each with a new process of the
    server that has to read its catalogues first. Its web server makes pools of its own anyway.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the storage from its ``config`` in ``dagster.yaml``, like that of Dagster's ``postgres``."""
        provider = get_token_provider_from_config(config_value)
        storage = cls(
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=provider,
        )
        # Both are made alike; the first one has made the tables.
        storage._event_log_storage = LockedEventLog(
            storage.postgres_url, storage.should_autocreate_tables, token_provider=provider
        )
        engine = create_pg_engine(
            storage.postgres_url,
            provider,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT_CONNECTIONS,
            # No limit: who holds one connection and waits for another would wait for ever.
            max_overflow=-1,
            # A connection that a restart of the server has ended is replaced, not handed out.
            pool_pre_ping=True,
        )
        parts: tuple[Any, ...] = (storage.run_storage, storage.event_log_storage, storage.schedule_storage)
        for part in parts:
            part._engine = engine
        return storage
