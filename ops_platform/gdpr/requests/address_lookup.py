"""The e-mail address that the product has on record for a subject: verification mails go only there."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.settings import ApiSettings


@dataclass(frozen=True)
class EmailOnRecord:
    """The place of the address in the product database. ``table`` may be qualified: ``schema.table``."""

    table: str
    key_column: str
    email_column: str

    def find(self, connection: Connection, subject: UUID) -> str | None:
        """Find the subject's address; None when there is no such account or it has none.

        Raises ConfigurationError when the table is not as configured or may not be read.
        """
        query = sql.SQL("SELECT {email}::text AS email FROM {table} WHERE {key} = %s").format(
            email=sql.Identifier(self.email_column),
            table=sql.Identifier(*self.table.split(".")),
            key=sql.Identifier(self.key_column),
        )
        try:
            row = connection.execute(query, (subject,)).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                f"the API may not read addresses: grant SELECT on {self.key_column}, {self.email_column} "
                f"of {self.table} to its role"
            ) from None
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            raise ConfigurationError(
                f"there is no {self.table} with {self.key_column} and {self.email_column}: "
                "correct OPS_API_SUBJECT_TABLE and the settings of its columns"
            ) from None
        email = str(row["email"] or "").strip() if row else ""
        return email if "@" in email else None


def from_settings(api: ApiSettings) -> EmailOnRecord:
    """Build the lookup from OPS_API_SUBJECT_TABLE and the settings of its columns."""
    return EmailOnRecord(api.subject_table, api.subject_key_column, api.subject_email_column)
