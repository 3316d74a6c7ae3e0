"""The newest map on an older schema: what is left of a role says nothing that makes no sense any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.gdpr.after_restore import older_schema
from ops_platform.gdpr.data_map.model import Anonymise, Constant
from ops_platform.gdpr.map_check import shared_handling
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    CATALOGUE,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    catalogue,
    column,
    data_map,
)

NULLS = Anonymise({"user_id": Constant(None), "note": Constant(None)})


@pytest.mark.parametrize("has_note", [True, False])
def test_a_role_that_takes_nothing_from_others_yet_decides_nothing_about_them(has_note: bool) -> None:
    """With it, the map did not fit the restored database, which could take no traffic."""
    role = replace(AUTHOR, erasure=NULLS, shared="stand_in")
    columns = {**NOTES_RELATION.columns, "note": column("note")}
    known = catalogue(replace(NOTES_RELATION, columns=columns)) if has_note else CATALOGUE
    fitted = older_schema.fit(data_map(replace(NOTES_TABLE, belongings=(role,))), known)
    [left] = fitted.tables[NOTES].belongings
    assert left.shared == ("stand_in" if has_note else None)
    assert shared_handling.check(fitted, known) == []
