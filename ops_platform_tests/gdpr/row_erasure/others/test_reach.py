"""Ways in which others reach rows; where the catalogue rules one out, nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops_platform.gdpr.data_map.model import (
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByParent,
    Constant,
    Delete,
    Keep,
)
from ops_platform.gdpr.row_erasure.others import bystanders
from ops_platform.gdpr.row_erasure.others.reach import Reach
from ops_platform.gdpr.row_erasure.others.telling_apart import told_apart
from ops_platform.gdpr.schema.reader import Reference
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    BLANKED,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    REFERENCE,
    USERS,
    USERS_RELATION,
    catalogue,
    column,
    data_map,
    relation,
)

IDENTITY = Identity({"id": 1, "email": "a@example.org"})
TAGS = Name("public", "tags")
MORE = {"editor": column("editor"), "readers": column("readers")}
EDITED = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, **MORE})
EDITOR = Reference("notes_editor", NOTES, ("editor",), USERS, ("id",), "no action", False)
TAGS_RELATION = relation(TAGS, column("id"), column("note"), column("by"))
TAG = Reference("tags_note", TAGS, ("note",), NOTES, ("id",), "no action", False)
TAGGER = Reference("tags_by", TAGS, ("by",), USERS, ("id",), "no action", False)
SAME = "another user's in the same role"


@pytest.mark.parametrize(
    ("references", "role", "ways"),
    [
        ((REFERENCE,), AUTHOR, []),
        ((), AUTHOR, []),
        ((REFERENCE, EDITOR), AUTHOR, ["another user's by public.notes.user_id or editor"]),
        # A tag of nobody in particular is the author's of its note.
        ((REFERENCE, TAG), AUTHOR, []),
        ((REFERENCE, TAG, TAGGER), AUTHOR, ["referred to by public.tags.note of another user's row"]),
        # What is referred to stays by such a rule.
        ((REFERENCE, TAG), replace(AUTHOR, erasure=Delete({"user_id": Constant(None)})), []),
        ((REFERENCE, EDITOR), replace(AUTHOR, erasure=Anonymise({"user_id": Constant(None)})), []),
        ((REFERENCE, EDITOR), BLANKED, ["another user's by public.notes.user_id or editor"]),
        ((REFERENCE, EDITOR), replace(AUTHOR, erasure=Keep("law", "a year")), []),
        ((), replace(AUTHOR, way=ByArray("readers", "id")), [SAME]),
        # An address need not be unique.
        ((), replace(AUTHOR, way=ByColumn(("body",), ("email",))), [SAME]),
        ((REFERENCE,), Belonging("r", ByParent(("user_id",), USERS, ("id",), ()), Delete(), "own"), []),
    ],
)
def test_only_ways_that_can_be(references: tuple[Reference, ...], role: Belonging, ways: list[str]) -> None:
    known = catalogue(EDITED, TAGS_RELATION, references=references)
    found = Reach(data_map(replace(NOTES_TABLE, belongings=(role,))), known, IDENTITY).ways(NOTES, role)
    assert [way.text for way in found] == [text.replace("public.", "") for text in ways]


def test_a_unique_address_is_one_persons() -> None:
    unique = replace(USERS_RELATION, unique=frozenset({("email",)}))
    role = replace(AUTHOR, way=ByColumn(("body",), ("email",)))
    known = catalogue(unique, references=())
    assert Reach(data_map(replace(NOTES_TABLE, belongings=(role,))), known, IDENTITY).ways(NOTES, role) == []


def test_nothing_lies_around_rows_of_the_subject_alone() -> None:
    def around(*references: Reference) -> list[Any]:
        known = catalogue(EDITED, TAGS_RELATION, references=references)
        reach = Reach(data_map(), known, IDENTITY)
        neighbours = bystanders.around(reach.ownership, IDENTITY, NOTES, AUTHOR, deleted=True)
        return [(neighbour.table, neighbour.at_child) for neighbour in neighbours]

    assert around(REFERENCE) == []
    assert around(REFERENCE, EDITOR) == [(USERS, False)]
    assert around(REFERENCE, TAG) == []
    assert around(REFERENCE, TAG, TAGGER) == [(TAGS, True)]


@pytest.mark.parametrize(
    ("references", "by_keys", "statement"),
    [
        ((REFERENCE,), ["notes", "users"], "up to 4 references"),
        ((), [], "no foreign keys"),
        ((TAG,), [], "No foreign key of the database leads to the subjects' table"),
    ],
)
def test_what_told_others_apart_is_said_as_it_is(
    references: tuple[Reference, ...], by_keys: list[str], statement: str
) -> None:
    told = told_apart(data_map(), catalogue(EDITED, TAGS_RELATION, references=references))
    assert told["by_foreign_keys"] == by_keys
    assert told["by_data_map_only"] == sorted({"notes", "users"} - {*by_keys})
    assert statement in told["statement"]
