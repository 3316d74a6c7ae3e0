"""The check that ``shared`` of a role says something that can be done with its rows."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByColumn, ByParent, DataMap, Delete
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.row_erasure import others


def check(data_map: DataMap) -> list[Finding]:
    """List the roles whose ``shared`` makes no sense."""
    return [
        Finding(f"{table.name} ({belonging.role})", "shared", reason)
        for table, belonging in data_map.belongings()
        for reason in _reasons(belonging, data_map)
    ]


def _reasons(belonging: Belonging, data_map: DataMap) -> Iterator[str]:
    way, erasure, shared = belonging.way, belonging.erasure, belonging.shared
    if shared is None:
        return
    if not others.takes(belonging):
        yield "says what becomes of rows that others reach, but takes nothing from them: remove shared"
    elif shared == "keep" and not isinstance(way, ByParent):
        yield (
            f"keeps rows for others as they are, which still name the subject in {', '.join(way.columns)}: "
            "say stand_in or delete"
        )
    elif shared == "delete" and isinstance(erasure, Anonymise):
        yield "sets columns of rows that stay: say stand_in to set them in rows that others reach as well"
    elif shared == "stand_in" and isinstance(erasure, Delete) and erasure.otherwise is None:
        if isinstance(way, ByParent):
            yield "has no reference to the subject to replace, only one to another row: say keep or delete"
        elif not isinstance(way, ByColumn):
            yield "finds the subject among others: take them out with erase: remove, without shared"
        elif way.holds != data_map.subject.key or len(way.holds) > 1:
            yield (
                "puts the stand-in's key in place of the subject's, which must be of one column and what "
                "the rows are found by: say delete_unless_referenced with the values to set, or delete"
            )
