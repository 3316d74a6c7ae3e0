"""The check that ``shared`` of a role says something that can be done with its rows."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByColumn, ByParent, DataMap, Delete
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.row_erasure import others
from ops_platform.gdpr.schema import Catalogue


def check(data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """List the roles whose ``shared`` makes no sense, or of whose rows a decision could not be remembered."""
    findings = []
    for table, belonging in data_map.belongings():
        place, relation = f"{table.name} ({belonging.role})", catalogue.relations.get(table.name)
        findings += [Finding(place, "shared", reason) for reason in _reasons(belonging, data_map)]
        if (
            belonging.shared in ("keep", "stand_in")
            and relation is not None
            and not relation.tells_rows_apart
        ):
            findings.append(
                Finding(
                    place,
                    "shared-without-key",
                    f"says shared: {belonging.shared}, but nothing names the rows of {table.name}: a row "
                    "that changes meanwhile would be taken for another: give the table a primary key, or a "
                    "unique index on columns that are never NULL",
                )
            )
    return findings


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
        elif set(way.holds) != set(data_map.subject.key):
            yield (
                "puts the stand-in's key in place of the subject's, which must be what "
                "the rows are found by: say delete_unless_referenced with the values to set, or delete"
            )
