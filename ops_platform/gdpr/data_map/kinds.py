"""The kinds of subject of one file: each has a map of its own, which knows the others.

Erasure and export work with the map of one kind: keys of different kinds may be equal, and are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map.model import DataMap


def join(maps: Iterable[DataMap]) -> tuple[DataMap, ...]:
    """Let the maps of one file know each other; they keep their order."""
    alone = [replace(data_map, others=()) for data_map in maps]
    return tuple(
        replace(data_map, others=(*alone[:place], *alone[place + 1 :]))
        for place, data_map in enumerate(alone)
    )


def every(data_map: DataMap) -> tuple[DataMap, ...]:
    """List the maps of all kinds in the file, that of the API's requests first."""
    return join(sorted((data_map, *data_map.others), key=lambda one: not one.requestable))


def names(data_map: DataMap) -> list[str]:
    """List the kinds in the file, that of the API's requests first."""
    return [one.subject.kind for one in every(data_map)]


def find(data_map: DataMap, kind: str) -> DataMap | None:
    """Find the map for a kind; None when the file does not have it."""
    return next((one for one in every(data_map) if one.subject.kind == kind), None)


def choose(data_map: DataMap, kind: str | None) -> DataMap:
    """Choose the map for a kind; None is the only one.

    Raises ConfigurationError, with the kinds, when there is no such kind, or several and none was named.
    """
    known = " and ".join(names(data_map))
    if kind is None:
        if data_map.others:
            raise ConfigurationError(f"the data map has several kinds of subject, {known}: say --kind")
        return data_map
    chosen = find(data_map, kind)
    if chosen is None:
        raise ConfigurationError(f"the data map has no subjects of the kind {kind}, but {known}: say --kind")
    return chosen


def of_requests(data_map: DataMap, table: str) -> DataMap:
    """Choose the map for requests of the API: the first kind's. ``table``: where the API reads addresses.

    Raises ConfigurationError when that is the table of another kind: keys may be equal, and whoever asked as
    one would be served as the other.
    """
    served, *others = every(data_map)
    for other in others:
        if table in (
            str(other.subject.table),
            f"{other.subject.table.schema}.{other.subject.table.relation}",
        ):
            raise ConfigurationError(
                f"OPS_API_SUBJECT_TABLE is the table of every {other.subject.kind}, and requests are about "
                f"the first kind of subject in the data map, {served.subject.kind}: put "
                f"{other.subject.kind} first, or set it to {served.subject.table}"
            )
    return served


def begin_alike(template: str, other: str) -> bool:
    """Tell whether two prefixes or patterns may be the same for keys of different kinds.

    They begin alike up to the first part that differs from subject to subject.
    """
    first, second = (text.replace("*", "{").partition("{")[0] for text in (template, other))
    return first.startswith(second) or second.startswith(first)
