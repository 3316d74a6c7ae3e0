"""Facts about an erasure beside its effects: who answers for it, when, in which databases, by which map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ops_platform.clients.postgres import Connection, one_row


@dataclass(frozen=True)
class Backups:
    """Backups of one of several databases; ``name``: the database's in the data map.

    ``expire_at``: when the last one that can hold the data is deleted; None: nobody here knows.
    """

    name: str
    expire_at: datetime | None


@dataclass(frozen=True)
class DatabaseIdentity:
    """A database that was searched and erased from.

    ``stanza``: None where its backups are not the platform's. ``system_identifier``: of its cluster, as
    PostgreSQL gave it at its creation; replicas and restores share it. ``backups``: None for the only one.
    """

    stanza: str | None
    database: str
    system_identifier: str
    server_version: str
    backups: Backups | None = None

    def document(self) -> dict[str, Any]:
        """Write it as a member of the certificate."""
        said = {name: value for name, value in asdict(self).items() if name != "backups"}
        if self.backups is None:
            return said
        return {
            "name": self.backups.name,
            **said,
            "last_backup_expires_at": _time(self.backups.expire_at),
        }

    @property
    def limits(self) -> list[str]:
        """State what the certificate cannot say of it."""
        if self.backups is None or self.backups.expire_at is not None:
            return []
        return [
            f"The platform makes no backups of the database {self.backups.name} ({self.database}): until "
            "when its backups hold the data is not known, and last_backup_expires_at does not count them."
        ]


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
            "databases": [database.document() for database in self.databases],
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


def identify(connection: Connection, stanza: str | None) -> DatabaseIdentity:
    """Read which database the connection is to. Raises what psycopg raises."""
    row = one_row(
        connection,
        "SELECT current_database() AS database, system_identifier::text AS system_identifier, "
        "current_setting('server_version') AS server_version FROM pg_control_system()",
    )
    return DatabaseIdentity(stanza, row["database"], row["system_identifier"], row["server_version"])


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
