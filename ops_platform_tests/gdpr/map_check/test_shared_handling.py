"""What a role may say of rows that others reach: nothing that cannot be done, or that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import (
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByMention,
    ByParent,
    Constant,
    Delete,
    Keep,
    Redact,
    Remove,
    Table,
)
from ops_platform.gdpr.map_check import foreign_keys
from ops_platform.gdpr.map_check.shared_handling import check
from ops_platform.gdpr.schema.reader import Reference
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    BLANKED,
    CATALOGUE,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    REFERENCE,
    USERS,
    catalogue,
    column,
    data_map,
    relation,
)

THROUGH = ByParent(("id",), USERS, ("email",), ())
REFERENCE_ONLY = Anonymise({"user_id": Constant(None)})
OTHERWISE = Delete({"user_id": Constant(None)})


@pytest.mark.parametrize(
    ("changes", "shared", "says"),
    [
        ({}, None, ""),
        ({}, "delete", ""),
        ({}, "stand_in", ""),
        ({}, "keep", "still name the subject in user_id"),
        ({"way": THROUGH}, "keep", ""),
        ({"way": THROUGH}, "delete", ""),
        ({"way": THROUGH}, "stand_in", "no reference to the subject"),
        ({"way": THROUGH, "erasure": OTHERWISE}, "stand_in", ""),
        ({"way": ByColumn(("user_id",), ("email",))}, "stand_in", "must be what the rows are found by"),
        ({"way": ByArray("tags", "id")}, "stand_in", "erase: remove"),
        ({"way": ByJson("doc", JsonPath(("a",)), "id")}, "keep", "still name the subject in doc"),
        ({"erasure": BLANKED.erasure}, "stand_in", ""),
        ({"erasure": BLANKED.erasure}, "delete", "say stand_in"),
        ({"erasure": BLANKED.erasure, "way": THROUGH}, "keep", ""),
        ({"erasure": REFERENCE_ONLY}, "stand_in", "takes nothing from them"),
        ({"erasure": Keep("law", "a year")}, "keep", "takes nothing from them"),
        ({"erasure": Remove(), "way": ByArray("tags", "id")}, "delete", "takes nothing from them"),
        ({"erasure": Redact("x"), "way": ByMention(("body",))}, "delete", "takes nothing from them"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], shared: Any, says: str) -> None:
    role = replace(AUTHOR, shared=shared, **changes)
    findings = check(data_map(replace(NOTES_TABLE, belongings=(role,))), CATALOGUE)
    assert [(one.where, one.code) for one in findings] == ([(f"{NOTES} (author)", "shared")] if says else [])
    assert all(says in one.message for one in findings)


@pytest.mark.parametrize(
    ("index", "shared", "fits"),
    [
        ({}, "stand_in", False),
        ({}, "delete", True),
        ({"key": ("id",)}, "stand_in", True),
        ({"unique": frozenset({("id",)})}, "stand_in", True),
        # Of what may be NULL several rows can have the same.
        ({"unique": frozenset({("user_id",)})}, "stand_in", False),
    ],
)
def test_what_is_kept_for_others_has_a_name_that_outlives_a_change_of_the_row(
    index: dict[str, Any], shared: Any, fits: bool
) -> None:
    """By a hash of the whole row, the change of any column made it somebody's alone."""
    columns = {**NOTES_RELATION.columns, "id": column("id", not_null=True)}
    known = catalogue(replace(NOTES_RELATION, **{"columns": columns, "key": (), **index}))
    findings = check(data_map(replace(NOTES_TABLE, belongings=(replace(AUTHOR, shared=shared),))), known)
    assert [one.code for one in findings] == ([] if fits else ["shared-without-key"])


ITEMS = Name("public", "items")
ITEM = Belonging("on", ByParent(("note",), NOTES, ("id",), ()), Delete(), "own", shared="keep")
OF_NOTE = Reference("items_note", ITEMS, ("note",), NOTES, ("id",), "no action", False)


@pytest.mark.parametrize(
    ("item", "note", "left"),
    [
        ({}, "delete", True),
        ({}, None, True),
        ({}, "stand_in", False),
        ({"shared": "delete"}, "delete", False),
        ({"shared": None}, "delete", False),
        ({"shared": "stand_in", "erasure": Delete({"note": Constant(None)})}, "delete", False),
        ({"shared": "keep", "erasure": Delete({"note": Constant(None)})}, "delete", True),
        ({"erasure": Anonymise({"note": Constant(None), "said": Constant(None)})}, "delete", True),
        (
            {"erasure": Anonymise({"note": Constant(None), "said": Constant(None)}), "shared": "stand_in"},
            "delete",
            False,
        ),
    ],
)
def test_what_is_kept_for_others_refers_to_nothing_that_goes(
    item: dict[str, Any], note: Any, left: bool
) -> None:
    """It stopped for ever, half-way, with everything that had been destroyed before."""
    items = relation(ITEMS, column("id"), column("note", not_null=True), column("said"))
    known = catalogue(items, references=(REFERENCE, OF_NOTE))
    notes = replace(NOTES_TABLE, belongings=(replace(AUTHOR, shared=note),))
    table = Table(ITEMS, "p", "r", frozenset(), frozenset({"id", "said"}), {}, (replace(ITEM, **item),))
    findings = [*foreign_keys.check(data_map(notes, table), known)]
    found = [(one.where, one.code) for one in findings if one.code.endswith("reference-left")]
    assert found == ([("items.note", "shared-reference-left")] if left else [])


def test_what_never_lets_go_is_told_as_before() -> None:
    items = relation(ITEMS, column("id"), column("note", not_null=True), column("said"))
    role = replace(ITEM, shared="stand_in", erasure=Delete({"said": Constant(None)}))
    table = Table(ITEMS, "p", "r", frozenset(), frozenset({"id", "said"}), {}, (role,))
    known = catalogue(items, references=(REFERENCE, OF_NOTE))
    codes = [one.code for one in foreign_keys.check(data_map(table), known)]
    assert [code for code in codes if code.endswith("reference-left")] == ["reference-left"]
