"""What a role may say of rows that others reach: nothing that cannot be done, or that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import (
    Anonymise,
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
)
from ops_platform.gdpr.map_check.shared_handling import check
from ops_platform_tests.gdpr.catalogues import AUTHOR, BLANKED, NOTES, NOTES_TABLE, USERS, data_map

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
        ({"way": ByColumn(("user_id",), ("email",))}, "stand_in", "must be of one column"),
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
    findings = check(data_map(replace(NOTES_TABLE, belongings=(role,))))
    assert [(one.where, one.code) for one in findings] == ([(f"{NOTES} (author)", "shared")] if says else [])
    assert all(says in one.message for one in findings)
