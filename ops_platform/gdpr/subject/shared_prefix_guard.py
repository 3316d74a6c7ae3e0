"""Objects and keys of the cache are found by names: is what a subject's names lead to theirs alone?

A handle ``a/b`` lies in the folder of a handle ``a``, whoever of the two is erased.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject.row_predicates import Identity

_ENDED = re.compile(r"\{([^{}]*)\}([^{}*]?)")


def refuse_shared(connection: Connection, data_map: DataMap, who: Identity) -> None:
    """Raises CheckFailed, without a name, when a place of the map may hold somebody else's things too."""
    subject = data_map.subject
    for text, name, end in _ends(data_map):
        value = who.values.get(name)
        # Numbers and UUIDs hold no sign that could end them.
        if not isinstance(value, str) or not end:
            continue
        if end in value:
            raise CheckFailed(
                f"{text}: the {name} of this {subject.kind} holds {end!r}, which ends it there, so that it "
                "leads to what may be somebody else's: put another identifier into the data map"
            )
        query = sql.SQL(
            "SELECT EXISTS (SELECT FROM {} AS t WHERE starts_with(CAST(t.{} AS text), {})) AS other"
        ).format(subject.table.identifier, sql.Identifier(name), sql.Literal(value + end))
        row = one_row(connection, query)
        if row["other"]:
            raise CheckFailed(
                f"{text}: the {name} of another {subject.kind} goes on behind this one's with {end!r}, so "
                "that what is theirs would be found too: put another identifier into the data map"
            )


def _ends(data_map: DataMap) -> Iterator[tuple[str, str, str]]:
    """Each place, the identifiers in it, and the sign that ends each; none where the name ends the key."""
    for text in [*(one.prefix for one in data_map.objects), *(one.pattern for one in data_map.cache)]:
        for name, end in _ENDED.findall(text):
            yield text, name, end
