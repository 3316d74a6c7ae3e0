"""Guard against prefixes that two subjects share, in object names and in keys of the cache.

Both are found by a subject's identifiers: what belongs to a handle ``a/b`` lies in the folder of a handle
``a``, whichever of the two is erased.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject.identity import Identity

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}([^{}*]?)")


def refuse_shared(connection: Connection, data_map: DataMap, identity: Identity) -> None:
    """Refuse a subject whose prefixes and patterns of the map may match somebody else's things too.

    Raises CheckFailed, which quotes no identifier.
    """
    subject = data_map.subject
    for template, name, end in _placeholders(data_map):
        value = identity.values.get(name)
        # Numbers and UUIDs hold no character that could end them early.
        if not isinstance(value, str) or not end:
            continue
        if end in value:
            raise CheckFailed(
                f"{template}: the {name} of this {subject.kind} holds {end!r}, which ends it there, so that "
                "somebody else's data may match: put another identifier into the data map"
            )
        query = sql.SQL(
            "SELECT EXISTS (SELECT FROM {} AS t WHERE starts_with(CAST(t.{} AS text), {})) AS other"
        ).format(subject.table.identifier, sql.Identifier(name), sql.Literal(value + end))
        row = one_row(connection, query)
        if row["other"]:
            raise CheckFailed(
                f"{template}: the {name} of another {subject.kind} is this one's followed by {end!r}, so "
                "that their data match too: put another identifier into the data map"
            )


def _placeholders(data_map: DataMap) -> Iterator[tuple[str, str, str]]:
    """Yield each placeholder: its template, its identifier, the character behind it ("" at the end)."""
    templates = [place.prefix for place in data_map.objects] + [place.pattern for place in data_map.cache]
    for template in templates:
        for name, end in _PLACEHOLDER.findall(template):
            yield template, name, end
