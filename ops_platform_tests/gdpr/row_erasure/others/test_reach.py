"""Ways in which others reach rows; where the catalogue rules one out, nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ops_platform.errors import CheckFailed
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
    Handling,
    Keep,
    Redact,
    Remove,
    Table,
)
from ops_platform.gdpr.row_erasure.others import bystanders, register
from ops_platform.gdpr.row_erasure.others.decisions import Decisions
from ops_platform.gdpr.row_erasure.others.reach import Reach
from ops_platform.gdpr.row_erasure.others.register import Recorded, SharedRows
from ops_platform.gdpr.row_erasure.others.telling_apart import told_apart
from ops_platform.gdpr.schema.reader import Column, Reference
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.gdpr.subject.row_predicates import SparedRows
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    BLANKED,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    REFERENCE,
    USERS,
    USERS_RELATION,
    USERS_TABLE,
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
STARS = Name("public", "stars")
STARRED = (
    Reference("stars_note", STARS, ("note",), NOTES, ("id",), "no action", False),
    Reference("stars_by", STARS, ("by",), USERS, ("id",), "no action", False),
)
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
        ((), replace(AUTHOR, way=ByJson("readers", JsonPath(("to",)), "email")), [SAME]),
        ((), replace(AUTHOR, way=ByJson("readers", JsonPath(("to",)), "id")), []),
        ((REFERENCE,), Belonging("r", ByParent(("user_id",), USERS, ("id",), ()), Delete(), "own"), []),
    ],
)
def test_only_ways_that_can_be(references: tuple[Reference, ...], role: Belonging, ways: list[str]) -> None:
    known = catalogue(EDITED, TAGS_RELATION, references=references)
    found = Reach(data_map(replace(NOTES_TABLE, belongings=(role,))), known, IDENTITY).ways(NOTES, role)
    assert [way.text for way in found] == [text.replace("public.", "") for text in ways]


def test_a_unique_address_is_one_persons() -> None:
    unique = replace(USERS_RELATION, unique=frozenset({("email",)}))
    known = catalogue(unique, EDITED, references=())
    for way in (ByColumn(("body",), ("email",)), ByJson("readers", JsonPath(("to",)), "email")):
        role = replace(AUTHOR, way=way)
        of_notes = data_map(replace(NOTES_TABLE, belongings=(role,)))
        assert Reach(of_notes, known, IDENTITY).ways(NOTES, role) == []


ADDRESSED = replace(AUTHOR, way=ByColumn(("body",), ("email",)))


def spared(*names: str, after_restore: bool = False) -> SparedRows:
    return SparedRows(
        datetime(2026, 1, 1, tzinfo=UTC), False, reused_names=None if after_restore else frozenset(names)
    )


@pytest.mark.parametrize("left_out", [None, spared("email"), spared("handle"), spared(after_restore=True)])
def test_a_name_that_two_people_have_is_asked_about_most_when_it_is_uncertain(
    left_out: SparedRows | None,
) -> None:
    """As it was, both had it all the time: nobody asked as soon as somebody else had any name of theirs."""
    dated = replace(NOTES_TABLE, belongings=(ADDRESSED,), created="made")
    columns = {**NOTES_RELATION.columns, "made": column("made", "timestamp with time zone")}
    known = catalogue(replace(NOTES_RELATION, columns=columns), references=())
    [way] = Reach(data_map(dated), known, IDENTITY, left_out).ways(NOTES, ADDRESSED)
    assert way.text == SAME
    assert "made" not in way.test.as_string(None), "the table of users does not say who came later"
    people = replace(USERS_TABLE, created="since")
    [way] = Reach(data_map(dated, people), known, IDENTITY, left_out).ways(NOTES, ADDRESSED)
    later = """NOT (("to"."since" > '2026-01-01 00:00:00+00:00'::timestamptz) IS TRUE AND """
    later += """("t"."made" > '2026-01-01 00:00:00+00:00'::timestamptz) IS NOT TRUE)"""
    assert (later in way.test.as_string(None)) == (left_out is not None)


THROUGH = Belonging("on", ByParent(("note",), NOTES, ("id",), ()), Delete(), "own")


@pytest.mark.parametrize(
    ("shared", "after_restore", "stays"),
    [("stand_in", False, True), ("delete", False, False), (None, False, False), (None, True, True)],
)
def test_what_hangs_on_a_row_that_stays_for_others_is_theirs_too(
    shared: Handling | None, after_restore: bool, stays: bool
) -> None:
    """Its parts go first: the note stayed for whoever had starred it, without any of its tags."""
    stars = relation(STARS, column("note"), column("by"))
    known = catalogue(TAGS_RELATION, stars, references=(REFERENCE, TAG, *STARRED))
    note = replace(AUTHOR, shared=shared)
    tags = Table(TAGS, "p", "r", frozenset(), frozenset({"id", "by"}), {}, (THROUGH,))
    of_notes = data_map(replace(NOTES_TABLE, belongings=(note,)), tags)
    left_out = spared(after_restore=True) if after_restore else None
    reach = Reach(of_notes, known, IDENTITY, left_out)
    ways = [way.text for way in reach.ways(TAGS, THROUGH)]
    assert ways == (["of a row of notes that stays for another user"] if stays else [])
    only_its_reference = replace(THROUGH, erasure=Anonymise({"note": Constant(None)}))
    assert reach.ways(TAGS, only_its_reference) == []


def test_what_becomes_shared_after_the_look_is_seen_in_the_batch_by_whatever_shows_it() -> None:
    """A link row or an array shows it as well as a foreign key, and was asked once a pass only."""
    in_array = replace(AUTHOR, way=ByArray("readers", "id"))
    known = catalogue(EDITED, references=(EDITOR,))
    reach = Reach(data_map(replace(NOTES_TABLE, belongings=(in_array,))), known, IDENTITY)
    undecided = Decisions(reach, Recorded()).unforeseen(NOTES, in_array)
    assert [*undecided] == [
        "another user's by foreign keys, whatever the data map says",
        "another user's by the data map, since it was looked",
    ]
    decided = Recorded("one", frozenset({("notes", "author")}))
    for test in Decisions(reach, decided).unforeseen(NOTES, in_array).values():
        assert "AND NOT EXISTS (SELECT FROM ops_platform.erasure_shared_rows" in test.as_string(None)
    assert Decisions(reach, decided).unforeseen(NOTES, replace(in_array, erasure=Remove())) == {}


@pytest.mark.parametrize(("after_restore", "limits"), [(False, 0), (True, 1)])
def test_a_replay_leaves_what_nobody_decided_about(after_restore: bool, limits: int) -> None:
    """The first erasure would have refused: so it was not shared then, or not the subject's."""
    known = catalogue(EDITED, references=(REFERENCE, EDITOR))
    reach = Reach(data_map(), known, IDENTITY, spared(after_restore=True) if after_restore else None)
    decisions = Decisions(reach, Recorded("one", frozenset({("notes", "author")})))
    assert len(decisions.limits(NOTES, AUTHOR, apart=False)) == limits
    assert decisions.limits(NOTES, replace(AUTHOR, shared="delete"), apart=False) == []


def test_a_row_without_a_key_is_remembered_by_a_unique_index() -> None:
    """By a hash of the whole row, any change of it made the decision be lost."""
    columns = {**NOTES_RELATION.columns, "id": column("id", not_null=True)}
    known = catalogue(
        replace(NOTES_RELATION, columns=columns, key=(), unique=frozenset({("user_id",), ("id",)}))
    )
    test = Recorded("one", frozenset({("notes", "author")})).test(known, NOTES, AUTHOR)
    assert test is not None
    assert 'ROW("t"."id") AS' in test.as_string(None)


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
    conditions = unforeseen(TAGS, tagger)
    assert [*conditions] == ["another kind's" for _ in ways]
    for condition in conditions.values():
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


BY_MAIL = replace(AUTHOR, way=ByColumn(("body",), ("email",)))
MENTIONED = Belonging("named", ByMention(("body",)), Redact("-"), "none")


@pytest.mark.parametrize(
    ("roles", "editor", "place", "by"),
    [
        # Nobody need be its editor, so nobody is told apart by that.
        ((BY_MAIL,), column("editor"), "notes", "by_data_map_only"),
        ((BY_MAIL,), column("editor", not_null=True), "notes", "by_foreign_keys"),
        ((AUTHOR,), column("editor"), "notes", "by_foreign_keys"),
        # It takes nothing from others, so they are not asked.
        (
            (replace(BY_MAIL, erasure=Anonymise({"body": Constant(None)})),),
            column("editor", not_null=True),
            "notes",
            "by_data_map_only",
        ),
        ((MENTIONED,), column("editor", not_null=True), "notes", "not_at_all"),
        ((AUTHOR, MENTIONED), column("editor"), "notes (named)", "not_at_all"),
        ((AUTHOR, MENTIONED), column("editor"), "notes (author)", "by_foreign_keys"),
        ((AUTHOR, replace(BY_MAIL, role="to")), column("editor"), "notes (to)", "by_data_map_only"),
    ],
)
def test_foreign_keys_are_said_to_tell_apart_only_where_they_did(
    roles: tuple[Belonging, ...], editor: Column, place: str, by: str
) -> None:
    """A foreign key anywhere near a table was enough for the certificate to say so."""
    edited = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "editor": editor})
    known = catalogue(edited, references=(REFERENCE, EDITOR))
    told = told_apart(data_map(replace(NOTES_TABLE, belongings=roles, triggers={"x": "y"})), known)
    lists = ("by_foreign_keys", "by_data_map_only", "not_at_all")
    assert [name for name in lists if place in told[name]] == [by]
    assert "users" in told["by_foreign_keys"]
    assert told["without_digests"] == ["notes"]
