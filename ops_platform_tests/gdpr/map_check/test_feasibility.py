"""Maps that cannot be carried out on a catalogue, each with the one thing that is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops_platform.gdpr.data_map.model import (
    PSEUDONYM,
    STAND_IN,
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByMention,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    KnownBy,
    Redact,
    View,
    Waiver,
)
from ops_platform.gdpr.map_check.feasibility import check
from ops_platform.gdpr.schema.reader import Catalogue, PartialIndex, Trigger
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import (
    ACCOUNT,
    AUTHOR,
    BLANKED,
    CATALOGUE,
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

STATS = Name("public", "stats")
PAGES = Name("public", "pages")
MATVIEW = replace(relation(STATS, column("email", "text"), key=()), kind="matview")
REFRESHED = View(STATS, frozenset({"email"}), frozenset(), refresh=Name("public", "refresh"))
TRIGGER = Trigger("copy", "copy_row", writes=True)


def found(what: DataMap, where: Catalogue = CATALOGUE) -> list[tuple[str, str]]:
    return [(one.where, one.code) for one in check(what, where)]


def notes(*belongings: Belonging) -> DataMap:
    return data_map(replace(NOTES_TABLE, belongings=belongings))


def setting(value: object, name: str = "body") -> DataMap:
    return notes(replace(AUTHOR, erasure=Anonymise({"user_id": Constant(None), name: value})))  # type: ignore[dict-item]


@pytest.mark.parametrize("good", [data_map(), notes(BLANKED), setting(Constant("gone"))])
def test_what_fits_has_no_findings(good: DataMap) -> None:
    assert found(good) == []


@pytest.mark.parametrize(
    ("what", "where", "findings"),
    [
        (data_map(table=Name("public", "people")), CATALOGUE, [("people", "no-subject")]),
        (
            data_map(identifiers=("id", "handle")),
            CATALOGUE,
            [("users.handle", "no-such-column")],
        ),
        (data_map(key=("email",)), CATALOGUE, [("users.email", "no-key")]),
        (
            data_map(),
            catalogue(replace(NOTES_RELATION, leading=frozenset())),
            [("notes.user_id", "no-index")],
        ),
        (
            data_map(),
            catalogue(replace(NOTES_RELATION, leading=frozenset({("id", "user_id")}))),
            [("notes.user_id", "no-index")],
        ),
        (notes(), CATALOGUE, [("notes.user_id", "unlinked-reference")]),
        (
            notes(replace(AUTHOR, erasure=Keep("law", "1 y"))),
            CATALOGUE,
            [("notes.user_id", "reference-left")],
        ),
        (
            notes(replace(AUTHOR, erasure=Anonymise({"body": "pseudonym"}))),
            CATALOGUE,
            [("notes (author)", "still-linked"), ("notes.user_id", "reference-left")],
        ),
        (data_map(), catalogue(replace(NOTES_RELATION, key=())), [("notes", "no-key")]),
        (data_map(), catalogue(replace(NOTES_RELATION, row_security=True)), [("notes", "row-security")]),
        (
            data_map(replace(NOTES_TABLE, created="made")),
            CATALOGUE,
            [("notes", "no-such-column")],
        ),
        (
            data_map(replace(NOTES_TABLE, created="body")),
            CATALOGUE,
            [("notes.body", "other-type")],
        ),
        (data_map(), catalogue(replace(NOTES_RELATION, triggers=(TRIGGER,))), [("notes.copy", "trigger")]),
        (
            data_map(),
            catalogue(replace(NOTES_RELATION, indexed=frozenset({"id"}))),
            [("notes (author)", "no-index")],
        ),
        (
            data_map(),
            catalogue(
                replace(
                    NOTES_RELATION, columns={**NOTES_RELATION.columns, "user_id": column("user_id", "text")}
                )
            ),
            [("notes (author)", "other-type")],
        ),
        (
            notes(AUTHOR, replace(AUTHOR, role="reader", way=ByArray("user_id", "id"))),
            CATALOGUE,
            [("notes (reader)", "other-type")],
        ),
        (
            notes(replace(AUTHOR, export=("body", "title"))),
            CATALOGUE,
            [("notes (author)", "no-such-column")],
        ),
        (setting(Constant(None), "title"), CATALOGUE, [("notes (author)", "no-such-column")]),
        (
            setting(Constant(None)),
            catalogue(
                replace(
                    NOTES_RELATION,
                    columns={**NOTES_RELATION.columns, "body": column("body", "text", not_null=True)},
                )
            ),
            [("notes (author)", "not-null")],
        ),
        (
            setting(PSEUDONYM),
            catalogue(
                replace(
                    NOTES_RELATION,
                    columns={**NOTES_RELATION.columns, "body": column("body", "text", generated=True)},
                )
            ),
            [("notes (author)", "generated")],
        ),
        (
            setting(PSEUDONYM),
            catalogue(
                replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "body": column("body", "integer")})
            ),
            [("notes (author)", "other-type")],
        ),
        (setting(STAND_IN), CATALOGUE, [("notes (author)", "other-type")]),
        (
            data_map(views=(REFRESHED,)),
            catalogue(MATVIEW),
            [("stats", "no-such-function")],
        ),
        (
            data_map(views=(replace(REFRESHED, refresh=None),)),
            catalogue(MATVIEW),
            [("stats", "no-refresh")],
        ),
    ],
)
def test_one_thing_is_wrong(what: DataMap, where: Catalogue, findings: list[tuple[str, str]]) -> None:
    assert found(what, where) == findings


@pytest.mark.parametrize(
    ("what", "where"),
    [
        # A key that is not the primary key is one all the same, if no two rows share it.
        (data_map(key=("email",)), catalogue(replace(USERS_RELATION, unique=frozenset({("email",)})))),
        (
            data_map(replace(NOTES_TABLE, triggers={"copy": "why"})),
            catalogue(replace(NOTES_RELATION, triggers=(TRIGGER,))),
        ),
        (data_map(), catalogue(replace(NOTES_RELATION, triggers=(replace(TRIGGER, writes=False),)))),
        (data_map(views=(replace(REFRESHED, refresh=None),)), catalogue(replace(MATVIEW, refreshable=True))),
        (
            data_map(views=(REFRESHED,)),
            Catalogue(catalogue(MATVIEW).relations, (REFERENCE,), {Name("public", "refresh"): True}),
        ),
        (
            setting(Constant("gone")),
            catalogue(
                replace(
                    NOTES_RELATION,
                    columns={**NOTES_RELATION.columns, "body": column("body", "text", not_null=True)},
                )
            ),
        ),
        # Rows that stay are no reason to keep those they refer to, when the column is set.
        (notes(replace(AUTHOR, erasure=Delete({"user_id": Constant(None)}))), CATALOGUE),
    ],
)
def test_what_is_allowed_for_is_no_finding(what: DataMap, where: Catalogue) -> None:
    assert found(what, where) == []


def test_a_stand_in_that_cannot_be_made() -> None:
    shared = notes(replace(AUTHOR, erasure=Anonymise({"user_id": "stand_in"})))
    needed = replace(
        USERS_RELATION, columns={**USERS_RELATION.columns, "email": column("email", "text", not_null=True)}
    )
    assert found(shared) == []
    for given in ("has_default", "generated", "identity"):
        email = column("email", "text", not_null=True, **{given: True})
        made = replace(needed, columns={**needed.columns, "email": email})
        assert found(shared, catalogue(made)) == []
    assert found(shared, catalogue(needed)) == [("users (stand-in)", "not-null")]
    assert found(data_map(), catalogue(needed)) == []


def test_a_stand_in_with_the_subjects_own_key() -> None:
    """Its tenant is the subject's; its number must be another one."""
    by_both = ByColumn(("tenant", "user_id"), ("tenant", "id"))
    shared = notes(replace(AUTHOR, way=by_both, erasure=Anonymise({"user_id": "stand_in"})))
    keyed = replace(shared, subject=replace(shared.subject, key=("tenant", "id"), parts=("tenant", "id")))
    where = f"{USERS_RELATION.name} (stand-in)"

    def members(identity: bool = False) -> Catalogue:
        columns = {
            "tenant": column("tenant"),
            "id": column("id", identity=identity),
            "email": column("email", "text"),
        }
        users = replace(USERS_RELATION, columns=columns, key=("tenant", "id"))
        note = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "tenant": column("tenant")})
        return catalogue(users, note)

    assert (where, "no-key") in found(keyed, members())
    assert (where, "no-key") not in found(keyed, members(identity=True))


def test_kept_rows_that_another_role_would_delete() -> None:
    owner = replace(AUTHOR, role="owner")
    pages = replace(NOTES_TABLE, name=PAGES, belongings=(owner,))
    where = catalogue(replace(NOTES_RELATION, name=PAGES))
    kept = Belonging("page", ByParent(("id",), PAGES, ("id",), ("owner",)), Keep("law", "1 y"), "none")
    for author, findings in ((AUTHOR, [("notes (page)", "kept-and-deleted")]), (BLANKED, [])):
        what = data_map(replace(NOTES_TABLE, belongings=(author, kept)), pages)
        assert found(what, where) == findings


TENANTS = replace(
    USERS_RELATION,
    columns={**USERS_RELATION.columns, "tenant": column("tenant"), "handle": column("handle", "text")},
    key=("tenant", "id"),
)
TENANT_NOTES = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "tenant": column("tenant")})
BY_TENANT = replace(REFERENCE, columns=("tenant", "user_id"), target_columns=("tenant", "id"))
TENANT_ACCOUNT = replace(ACCOUNT, way=ByColumn(("tenant", "id"), ("tenant", "id")))
WHOLE = replace(AUTHOR, way=ByColumn(("user_id", "tenant"), ("id", "tenant")))
SOME = replace(WHOLE, where={"body": (Constant("x"),)})


def tenants(*belongings: Belonging, **subject: Any) -> DataMap:
    return data_map(
        replace(USERS_TABLE, belongings=(TENANT_ACCOUNT,)),
        replace(NOTES_TABLE, belongings=belongings),
        **{"key": ("tenant", "id"), "identifiers": ("email",), "parts": ("tenant", "id"), **subject},
    )


@pytest.mark.parametrize(
    ("authors", "unique", "codes"),
    [
        ((WHOLE,), (), []),
        ((AUTHOR,), (), ["unlinked-reference"]),
        # Where one column names one row, whoever refers to it has that.
        ((AUTHOR,), ("id",), []),
        # Rows that where leaves out refer to the subject too.
        ((SOME,), (), ["unlinked-reference"]),
        ((SOME, replace(WHOLE, role="rest")), (), []),
    ],
)
def test_a_foreign_key_is_covered_by_all_its_columns(
    authors: tuple[Belonging, ...], unique: tuple[str, ...], codes: list[str]
) -> None:
    users = replace(TENANTS, unique=frozenset({unique} if unique else ()))
    relation_ = replace(TENANT_NOTES, leading=frozenset({("tenant", "user_id")}))
    where = catalogue(users, relation_, references=(BY_TENANT,))
    assert [code for _, code in found(tenants(*authors), where)] == codes


def test_a_role_of_more_columns_than_the_foreign_key_misses_rows() -> None:
    users = replace(TENANTS, key=("id",))
    what = data_map(replace(NOTES_TABLE, belongings=(WHOLE,)), parts=("tenant",))
    assert found(what, catalogue(users, TENANT_NOTES)) == [("notes.user_id", "unlinked-reference")]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"key": ("id",)}, ["no-key"]),
        ({"identifiers": ("email", "id")}, ["not-unique"]),
        ({"parts": ("tenant", "id", "name")}, ["no-such-column"]),
        ({"known_by": (KnownBy(NOTES, "address"),)}, ["no-such-column"]),
    ],
)
def test_keys_of_several_columns(changes: dict[str, Any], codes: list[str]) -> None:
    where = catalogue(TENANTS, TENANT_NOTES, references=())
    assert [code for _, code in found(tenants(WHOLE, **changes), where)] == codes


def test_columns_that_several_subjects_can_share() -> None:
    named = replace(AUTHOR, role="named", way=ByColumn(("body", "tenant"), ("handle", "tenant")))
    what = data_map(
        replace(NOTES_TABLE, belongings=(AUTHOR, named)),
        parts=("tenant", "handle"),
        together=(("handle", "tenant"),),
    )
    users = replace(TENANTS, key=("id",))
    assert found(what, catalogue(users, TENANT_NOTES)) == [("notes (named)", "not-unique")]
    users = replace(users, unique=frozenset({("tenant", "handle")}))
    assert found(what, catalogue(users, TENANT_NOTES)) == []


@pytest.mark.parametrize(
    ("index", "where", "codes"),
    [
        (("kind", "user_id"), {"kind": (Constant("x"),)}, []),
        (("kind", "user_id"), {}, ["no-index"]),
        (("kind", "id", "user_id"), {"kind": (Constant("x"),)}, ["no-index"]),
    ],
)
def test_columns_of_where_may_stand_first_in_the_index(
    index: tuple[str, ...], where: dict[str, tuple[Constant, ...]], codes: list[str]
) -> None:
    indexed = replace(
        NOTES_RELATION,
        columns={**NOTES_RELATION.columns, "kind": column("kind", "text")},
        indexed=frozenset({index[0]}),
        leading=frozenset({index}),
    )
    what = notes(replace(AUTHOR, where=where))
    assert [code for _, code in found(what, catalogue(indexed, references=()))] == codes


def test_a_part_of_a_parents_key_is_no_link() -> None:
    nodes = Name("public", "nodes")
    versions = relation(nodes, column("id"), column("version"), column("user_id"), key=("id", "version"))
    of_version = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "version": column("version")})
    table = replace(NOTES_TABLE, name=nodes, belongings=(AUTHOR,))

    def tagged(way: ByParent) -> DataMap:
        return data_map(
            replace(NOTES_TABLE, belongings=(AUTHOR, Belonging("tag", way, Delete(), "own"))), table
        )

    part = tagged(ByParent(("id",), nodes, ("id",), ()))
    assert found(part, catalogue(of_version, versions)) == [("notes (tag)", "key-in-part")]
    # A table that knows nothing of versions is about all of them.
    assert found(part, catalogue(versions)) == []
    whole = tagged(ByParent(("id", "version"), nodes, ("id", "version"), ()))
    assert found(whole, catalogue(of_version, versions)) == []


@pytest.mark.parametrize("not_null", [False, True])
def test_rows_of_a_table_that_hold_each_other(not_null: bool) -> None:
    guest = replace(REFERENCE, name="guest", table=USERS, columns=("email",))
    users = replace(
        USERS_RELATION,
        columns={**USERS_RELATION.columns, "email": column("email", "text", not_null=not_null)},
    )
    what = data_map(replace(USERS_TABLE, belongings=(ACCOUNT, replace(ACCOUNT, role="guest"))))
    assert (("users", "circle") in found(what, catalogue(users, references=(guest,)))) is not_null


def test_only_texts_and_documents_that_are_no_arrays_are_redacted() -> None:
    named = Belonging("named", ByMention(("body", "tags", "pages")), Redact("[erased]"), "none")
    columns = (column("id"), column("user_id"), column("body", "text"))
    tagged = relation(
        NOTES, *columns, column("tags", "text[]", base="text", array=True), column("pages", "integer")
    )
    assert found(notes(AUTHOR, named), catalogue(tagged)) == [("notes (named)", "other-type")] * 2
    assert found(notes(AUTHOR, replace(named, way=ByMention(("body",))))) == []
    keyed = replace(NOTES_RELATION, unique=frozenset({("user_id", "body")}))
    assert found(notes(AUTHOR, replace(named, way=ByMention(("body",)))), catalogue(keyed)) == [
        ("notes (named)", "redacted-key")
    ]


UNINDEXED = replace(NOTES_RELATION, leading=frozenset(), indexed=frozenset({"id"}))
LINK = PartialIndex(("user_id",), {"user_id": "NOT NULL"}, ordered=True)


@pytest.mark.parametrize("code", ["no-index", "no-key"])
def test_a_reasoned_waiver_excuses_a_finding_at_its_place_alone(code: str) -> None:
    where = catalogue(replace(UNINDEXED, key=()))
    before = found(data_map(), where)
    places = {"notes", "notes.user_id"} if code == "no-index" else {"notes"}
    for place in places:
        waived = replace(data_map(), waived=(Waiver(code, place, "it is read once a year"),))
        assert found(waived, where) == [one for one in before if one[1] != code]
    for place in ("notes.body", "users"):
        assert found(replace(data_map(), waived=(Waiver(code, place, "why"),)), where) == before
    elsewhere = replace(data_map(), waived=(Waiver(code, "notes.gone", "why"),))
    assert set(found(elsewhere, where)) == {*before, ("notes.gone", "waived-nowhere")}


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"small": True}, True),
        ({"partial": (LINK,)}, True),
        ({"partial": (replace(LINK, conditions={"user_id": "NULL"}),)}, False),
        ({"partial": (replace(LINK, conditions={"user_id": "NOT NULL", "body": "=x"}),)}, False),
        ({"partial": (replace(LINK, columns=("body",)),)}, False),
    ],
)
def test_an_index_on_the_rows_that_are_looked_for_is_one(changes: dict[str, Any], fits: bool) -> None:
    where = catalogue(replace(UNINDEXED, **changes))
    codes = [code for _, code in found(data_map(), where)]
    assert codes == ([] if fits else ["no-index", "no-index"])


@pytest.mark.parametrize(
    ("condition", "constants", "fits"),
    [
        ("NULL", (Constant(None),), True),
        ("NULL", (Constant("x"),), False),
        ("=x", (Constant("x"),), True),
        ("=x", (Constant("x"), Constant("y")), False),
        ("=true", (Constant(True),), True),
        ("NOT NULL", (Constant("x"), Constant("y")), True),
        ("NOT NULL", (Constant("x"), Constant(None)), False),
    ],
)
def test_an_index_on_a_part_serves_a_role_for_that_part(
    condition: str, constants: tuple[Constant, ...], fits: bool
) -> None:
    index = PartialIndex(("user_id",), {"body": condition}, ordered=True)
    role = replace(AUTHOR, where={"body": constants})
    where = catalogue(replace(UNINDEXED, partial=(index,), leading=frozenset({("user_id",)})), references=())
    table = replace(NOTES_TABLE, belongings=(role,), personal=frozenset())
    assert (found(data_map(table), where) == [("notes (author)", "no-index")]) is not fits


def test_rows_with_a_unique_name_in_small_letters_can_be_told_apart() -> None:
    body = column("body", "text", not_null=True)
    named = replace(
        NOTES_RELATION,
        key=(),
        unique=frozenset({("body",)}),
        columns={**NOTES_RELATION.columns, "body": body},
    )
    assert found(data_map(), catalogue(named)) == []
