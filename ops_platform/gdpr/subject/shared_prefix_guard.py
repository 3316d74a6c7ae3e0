"""Guard against prefixes that two subjects share, in object names and in keys of the cache.

Both are found by a subject's identifiers: what belongs to a handle ``a/b`` lies in the folder of a handle
``a``, whichever of the two is erased. And two may have one handle, where only open accounts' must differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject.identity import Identity, is_subject
from ops_platform.gdpr.subject.templates import fill_placeholders

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}([^{}*]?)")
_NOBODY = sql.SQL("false")


def refuse_shared(
    connection: Connection,
    data_map: DataMap,
    identity: Identity,
    going: sql.Composable = _NOBODY,
) -> None:
    """Refuse a subject whose prefixes and patterns of the map may match somebody else's things too.

    ``going``: the condition of rows t whose subjects go together with this one. Raises CheckFailed, which
    quotes no identifier.
    """
    subject = data_map.subject
    for template in _templates(data_map):
        _refuse_namesakes(connection, data_map, identity, template, going)
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
            "SELECT EXISTS (SELECT FROM {} AS t WHERE starts_with(CAST(t.{} AS text), {}) AND NOT ({})) "
            "AS other"
        ).format(subject.table.identifier, sql.Identifier(name), sql.Literal(value + end), going)
        row = one_row(connection, query)
        if row["other"]:
            raise CheckFailed(
                f"{template}: the {name} of another {subject.kind} is this one's followed by {end!r}, so "
                "that their data match too: put another identifier into the data map"
            )


def _refuse_namesakes(
    connection: Connection, data_map: DataMap, identity: Identity, template: str, going: sql.Composable
) -> None:
    """Refuse a template that another subject's row fills with equal values."""
    subject = data_map.subject
    names = sorted({name for name, _ in _PLACEHOLDER.findall(template)})
    if not names or set(subject.key) <= set(names) or fill_placeholders(template, identity) is None:
        return
    query = sql.SQL("SELECT EXISTS (SELECT FROM {} AS t WHERE {} AND NOT {} AND NOT ({})) AS other").format(
        subject.table.identifier,
        sql.SQL(" AND ").join(
            sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(identity.values[name]))
            for name in names
        ),
        is_subject(subject, identity, "t"),
        going,
    )
    if one_row(connection, query)["other"]:
        raise CheckFailed(
            f"{template}: another {subject.kind} has the same {' and '.join(names)}, so that nobody can tell "
            "whose data match: put another identifier into the data map"
        )


def _placeholders(data_map: DataMap) -> Iterator[tuple[str, str, str]]:
    """Yield each placeholder: its template, its identifier, the character behind it ("" at the end)."""
    for template in _templates(data_map):
        for name, end in _PLACEHOLDER.findall(template):
            yield template, name, end


def _templates(data_map: DataMap) -> list[str]:
    return [place.prefix for place in data_map.objects] + [place.pattern for place in data_map.cache]
