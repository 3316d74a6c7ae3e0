"""Names of relations as PostgreSQL has them: a schema and a name, exactly, whatever characters they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

DEFAULT_SCHEMA = "public"
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True, order=True)
class Name:
    """Of a table, view or materialised view."""

    schema: str
    relation: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """``table``, ``schema.table``; a part with a dot in it stands in double quotes.

        Nothing is folded to lower case. Raises ValueError.
        """
        parts, at = [], 0
        while at < len(text):
            found = _PART.match(text, at)
            if not found:
                break
            quoted, plain = found.groups()
            parts.append(quoted.replace('""', '"') if quoted else plain)
            at = found.end()
            if at < len(text) and text[at] == "." and at + 1 < len(text):
                at += 1
                continue
            break
        if at != len(text) or not 1 <= len(parts) <= 2:
            raise ValueError(f"{text!r} is no name: write table, or schema.table")
        return cls(*parts) if len(parts) == 2 else cls(DEFAULT_SCHEMA, parts[0])

    def __str__(self) -> str:
        relation = _quoted(self.relation)
        return relation if self.schema == DEFAULT_SCHEMA else f"{_quoted(self.schema)}.{relation}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.relation)


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part
