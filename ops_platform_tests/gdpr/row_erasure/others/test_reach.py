"""Ways in which others reach rows; where the catalogue rules one out, nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import (
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByMention,
    ByParent,
    Constant,
    Delete,
    Keep,
    Table,
)
from ops_platform.gdpr.row_erasure.others import bystanders, register
from ops_platform.gdpr.row_erasure.others.decisions import Decisions
from ops_platform.gdpr.row_erasure.others.reach import Reach
from ops_platform.gdpr.row_erasure.others.register import Recorded, SharedRows
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


CLERKS = Name("public", "clerks")
CLERK = Belonging("clerk", ByColumn(("by",), ("id",)), Keep("law", "a year"), "none")


@pytest.mark.parametrize(
    ("theirs", "ways"),
    [
        ({}, [("kept by law, of the kind clerk (clerk)", '("t"."by" IS NOT NULL)')]),
        ({"where": {"id": (Constant(1),)}}, [("kept by law, of the kind clerk (clerk)", "IS NOT NULL) AND")]),
        ({"erasure": Delete()}, [("of the kind clerk (clerk)", 'FROM "public"."clerks"')]),
        (
            {"way": ByColumn(("by",), ("mail",))},
            [("kept by law, of the kind clerk (clerk)", '"mail" = "t"."by"')],
        ),
        ({"way": ByArray("by", "id")}, [("kept by law, of the kind clerk (clerk)", "cardinality")]),
        ({"way": ByMention(("by",))}, []),
        (
            {"way": ByParent(("note",), NOTES, ("id",), ())},
            [("kept by law, of the kind clerk (clerk)", '"to"."by" IS NOT NULL')],
        ),
        # What only refers to them is not theirs; what their export shows as their own is.
        ({"erasure": Anonymise({"by": Constant(None)})}, []),
        (
            {"erasure": Anonymise({"by": Constant(None)}), "export": "own"},
            [("of the kind clerk (clerk)", "")],
        ),
    ],
)
def test_people_of_other_kinds_reach_rows_by_their_roles(
    theirs: dict[str, Any], ways: list[tuple[str, str]]
) -> None:
    relations = (EDITED, TAGS_RELATION, relation(CLERKS, column("id"), column("mail", "text")))
    known = catalogue(*relations, references=())
    tags = Table(TAGS, "p", "r", frozenset(), frozenset({"id"}), {}, (replace(CLERK, **theirs),))
    notes = replace(NOTES_TABLE, belongings=(replace(CLERK, role="through"),))
    other = data_map(tags, notes, kind="clerk", table=CLERKS, email="mail", identifiers=("id", "mail"))
    tagger = Belonging("tagger", ByColumn(("note",), ("id",)), Delete(), "own")
    own = replace(data_map(replace(tags, belongings=(tagger,))), others=(other,))
    found = Reach(own, known, IDENTITY).ways(TAGS, tagger)
    assert [way.text for way in found] == [text for text, _ in ways]
    assert [way.by_law for way in found] == [text.startswith("kept") for text, _ in ways]
    for way, (_, part) in zip(found, ways, strict=True):
        assert part in way.test.as_string(None)
    unforeseen = Decisions(
        Reach(own, known, IDENTITY), Recorded("e", frozenset({("tags", "tagger")}))
    ).unforeseen
    condition = unforeseen(TAGS, tagger)
    assert (condition is None) == (not ways)
    if condition is not None:
        # What is recorded was decided about, but nobody decides about what the law keeps.
        text, test = condition.as_string(None), found[0].test.as_string(None)
        assert text.endswith(f" OR {test})") == found[0].by_law
    # Who takes out only a reference of their own leaves the row to them.
    alone = replace(tagger, erasure=Anonymise({"note": Constant(None)}))
    assert Reach(own, known, IDENTITY).ways(TAGS, alone) == []
    assert "other kinds (clerk)" in told_apart(own, known)["statement"]


def test_what_the_law_keeps_for_another_kind_is_never_deleted() -> None:
    def shared(becomes: Any, *, by_law: bool) -> list[SharedRows]:
        return [SharedRows("tags", "tagger", 1, {"way": 1}, becomes, by_law)]

    for replay in (False, True):
        for becomes in (None, "delete"):
            with pytest.raises(CheckFailed, match=r"kept by law .* tags \(tagger\): 1 rows: 1 way"):
                register.refuse(shared(becomes, by_law=True), replay=replay)
        for becomes in ("keep", "stand_in"):
            register.refuse(shared(becomes, by_law=True), replay=replay)
        register.refuse(shared("delete", by_law=False), replay=replay)
    register.refuse(shared(None, by_law=False), replay=True)
    with pytest.raises(CheckFailed, match="somebody else's, too"):
        register.refuse(shared(None, by_law=False))


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
