"""Facts about an erasure beside its effects: who answers for it, when, in which databases, by which map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ops_platform.clients.postgres import Connection, one_row


@dataclass(frozen=True)
class DatabaseIdentity:
    """The database that was searched and erased from.

    ``system_identifier``: of its cluster, as PostgreSQL gave it at its creation; replicas and restores share
    it.
    """

    stanza: str
    database: str
    system_identifier: str
    server_version: str


@dataclass(frozen=True)
class Searched:
    """The search for what is left: the ``columns`` by table, and the names of the ``identifiers``."""

    columns: Mapping[str, Sequence[str]]
    identifiers: Sequence[str]


@dataclass(frozen=True)
class ProcessorNotice:
    """A processor, when their letter left, and when they answered; None: not by the time of issue."""

    name: str
    purpose: str
    told_at: datetime | None
    acknowledged_at: datetime | None


@dataclass(frozen=True)
class Facts:
    """The facts. ``received_at`` to ``due_at`` are None where there was no request, as by hand.

    And where a restore of the ops database has lost them.

    ``controller``: as in the data map; None where that names none. ``map_sha256``: hex, of the map as
    ``map_store`` keeps it. ``done_at``: when nothing was found any more.
    """

    controller: Mapping[str, Any] | None
    databases: Sequence[DatabaseIdentity]
    received_at: datetime | None
    confirmed_at: datetime | None
    due_at: datetime | None
    done_at: datetime
    searched: Searched
    processors: Sequence[ProcessorNotice]
    map_sha256: str

    def document(self) -> dict[str, Any]:
        """Write the facts as members of the certificate; times in UTC."""
        return {
            "controller": None if self.controller is None else dict(self.controller),
            "databases": [asdict(database) for database in self.databases],
            **{
                name: _time(getattr(self, name))
                for name in ("received_at", "confirmed_at", "due_at", "done_at")
            },
            "searched": {
                "columns": {table: sorted(columns) for table, columns in self.searched.columns.items()},
                "identifiers": sorted(self.searched.identifiers),
            },
            "processors": [
                {
                    **asdict(processor),
                    "told_at": _time(processor.told_at),
                    "acknowledged_at": _time(processor.acknowledged_at),
                }
                for processor in self.processors
            ],
            "map_sha256": self.map_sha256,
        }


def identify(connection: Connection, stanza: str) -> DatabaseIdentity:
    """Read which database the connection is to. Raises what psycopg raises."""
    row = one_row(
        connection,
        "SELECT current_database() AS database, system_identifier::text AS system_identifier, "
        "current_setting('server_version') AS server_version FROM pg_control_system()",
    )
    return DatabaseIdentity(stanza, row["database"], row["system_identifier"], row["server_version"])


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
