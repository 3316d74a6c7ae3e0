"""Names of relations exactly as PostgreSQL has them: schema and name, with any characters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

DEFAULT_SCHEMA = "public"
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True, order=True)
class Name:
    """The qualified name of a table, view or materialised view.

    No relation has an empty schema: it stands for the subjects' table where that is in another database.
    """

    schema: str
    relation: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """Parse ``table`` or ``schema.table``; a part with a dot in it stands in double quotes.

        Nothing is folded to lower case. Raises ValueError.
        """
        parts = _parts(text)
        if not 1 <= len(parts) <= 2:
            raise ValueError(f"{text!r} is not a relation's name: write table, or schema.table")
        return cls(*parts) if len(parts) == 2 else cls(DEFAULT_SCHEMA, parts[0])

    @classmethod
    def parse_column(cls, text: str) -> tuple[Name, str]:
        """Parse ``table.column`` or ``schema.table.column``, as ``parse`` does. Raises ValueError."""
        parts = _parts(text)
        if not 2 <= len(parts) <= 3:
            raise ValueError(f"{text!r} is no column: write table.column, or schema.table.column")
        *relation, column = parts
        return (cls(*relation) if len(relation) == 2 else cls(DEFAULT_SCHEMA, relation[0])), column

    def __str__(self) -> str:
        relation = quoted(self.relation)
        return relation if self.schema in (DEFAULT_SCHEMA, "") else f"{quoted(self.schema)}.{relation}"

    @property
    def identifier(self) -> sql.Identifier:
        """The name quoted for SQL."""
        return sql.Identifier(self.schema, self.relation)


def _parts(text: str) -> list[str]:
    """Split a name at its dots; empty when it is none."""
    parts, position = list[str](), 0
    while position < len(text):
        part = _PART.match(text, position)
        if not part:
            return []
        in_quotes, plain = part.groups()
        parts.append(in_quotes.replace('""', '"') if in_quotes else plain)
        position = part.end()
        if position == len(text):
            return parts
        if text[position] != "." or position + 1 == len(text):
            return []
        position += 1
    return []


def quoted(part: str) -> str:
    """Write one part of a name as ``Name.parse`` reads it."""
    return '"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part
