"""Names of relations exactly as PostgreSQL has them: schema and name, with any characters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

DEFAULT_SCHEMA = "public"
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True, order=True)
class Name:
    """The qualified name of a table, view or materialised view."""

    schema: str
    relation: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """Parse ``table`` or ``schema.table``; a part with a dot in it stands in double quotes.

        Nothing is folded to lower case. Raises ValueError.
        """
        parts, position = [], 0
        while position < len(text):
            part = _PART.match(text, position)
            if not part:
                break
            quoted, plain = part.groups()
            parts.append(quoted.replace('""', '"') if quoted else plain)
            position = part.end()
            if position < len(text) and text[position] == "." and position + 1 < len(text):
                position += 1
                continue
            break
        if position != len(text) or not 1 <= len(parts) <= 2:
            raise ValueError(f"{text!r} is not a relation's name: write table, or schema.table")
        return cls(*parts) if len(parts) == 2 else cls(DEFAULT_SCHEMA, parts[0])

    def __str__(self) -> str:
        relation = _quoted(self.relation)
        return relation if self.schema == DEFAULT_SCHEMA else f"{_quoted(self.schema)}.{relation}"

    @property
    def identifier(self) -> sql.Identifier:
        """The name quoted for SQL."""
        return sql.Identifier(self.schema, self.relation)


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part
