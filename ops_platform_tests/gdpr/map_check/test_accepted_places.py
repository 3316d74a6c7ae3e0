"""Places that a map may not accept: what is not there, and what it erases all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import Accepted, ByArray, ByJson, Keep, Remove, Table
from ops_platform.gdpr.map_check.accepted_places import check
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    BLANKED,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    catalogue,
    column,
    data_map,
    relation,
)

VIEW = relation(Name("public", "view"), column("body"), kind="view")
KNOWN = catalogue(
    VIEW,
    replace(
        NOTES_RELATION,
        columns={
            **NOTES_RELATION.columns,
            "tags": column("tags", "uuid[]", array=True),
            "doc": column("doc", "jsonb"),
        },
    ),
)


def notes(*belongings: object) -> Table:
    return replace(NOTES_TABLE, belongings=belongings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "place", "codes"),
    [
        (NOTES_TABLE, (NOTES, "body"), []),
        (NOTES_TABLE, (NOTES, "text"), ["no-such-column"]),
        (NOTES_TABLE, (Name("public", "other"), "body"), ["no-such-table"]),
        (NOTES_TABLE, (Name("other", "notes"), "body"), ["no-such-table"]),
        (NOTES_TABLE, (VIEW.name, "body"), ["no-such-table"]),
        (NOTES_TABLE, (NOTES, "user_id"), ["accepted-and-erased"]),
        (notes(BLANKED), (NOTES, "user_id"), ["accepted-and-erased"]),
        # Others' rows may hold the subject's name where the role sets only its own.
        (notes(BLANKED), (NOTES, "body"), []),
        (notes(replace(AUTHOR, erasure=Keep("law", "1 y"))), (NOTES, "user_id"), []),
        (
            notes(replace(AUTHOR, way=ByArray("tags", "id"), erasure=Remove())),
            (NOTES, "tags"),
            ["accepted-and-erased"],
        ),
        # A document has other parts.
        (
            notes(replace(AUTHOR, way=ByJson("doc", JsonPath.parse("who"), "id"), erasure=Remove())),
            (NOTES, "doc"),
            [],
        ),
    ],
)
def test_places_that_may_not_be_accepted(table: Table, place: tuple[Name, str], codes: list[str]) -> None:
    accepted = replace(data_map(table), accepted=(Accepted(*place, "law"),))
    assert [one.code for one in check(accepted, KNOWN)] == codes
