"""Columns that look like a link, an address or a credential need a rule or a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.gdpr.data_map.model import Accepted, Anonymise, ByColumn, ByMention, Constant, Redact, Table
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.map_check.undecided_columns import check
from ops_platform.gdpr.schema.reader import Catalogue, Column, Reference
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    USERS,
    USERS_RELATION,
    catalogue,
    column,
    data_map,
)

THINGS = Name("public", "things")


def with_column(added: Column) -> Catalogue:
    return catalogue(replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, added.name: added}))


def table(name: str, **changes: object) -> Table:
    """Notes with a plain column of this name."""
    return replace(NOTES_TABLE, **{"plain": frozenset({"id", name}), **changes})  # type: ignore[arg-type]


def codes(table: Table, added: Column, **changes: object) -> list[tuple[str, str]]:
    found = check(replace(data_map(table), **changes), with_column(added))  # type: ignore[arg-type]
    return [(finding.where, finding.code) for finding in found]


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("payer_id", "uuid"),
        ("payerId", "uuid"),
        ("approved_by", "uuid"),
        ("creatorid", "uuid"),
        ("write_uid", "uuid"),
        ("owner", "uuid"),
        ("owner", "text"),
        ("Author", "character varying"),
        ("watcher_ids", "uuid"),
        ("warehouse_id", "bigint"),
        ("contact_email", "text"),
        ("EMail", "citext"),
        ("useremail", "text"),
        ("home_phone", "bigint"),
        ("client_ip", "text"),
        ("seen_from", "inet"),
        ("password_hash", "bytea"),
        ("api_key", "text"),
        ("resetToken", "uuid"),
        ("client_secret", "text"),
        ("words", "tsvector"),
        ("attributes", "hstore"),
    ],
)
def test_a_plain_column_that_nobody_has_decided(name: str, type_: str) -> None:
    [(where, code)] = codes(table(name), column(name, type_))
    assert where == f"notes.{name}"
    assert code in ("undecided-link", "undecided-column")
    assert codes(table(name, reasons={name: "A house of ours."}), column(name, type_)) == []


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("paid", "boolean"),
        ("email_verified_at", "timestamp with time zone"),
        ("email_count", "integer"),
        ("token_count", "integer"),
        ("valid", "text"),
        ("void", "text"),
        ("title", "text"),
        ("description", "text"),
        ("shipped", "text"),
        ("mail_template", "text"),
        ("position", "integer"),
        ("monkey", "text"),
    ],
)
def test_columns_that_look_like_neither(name: str, type_: str) -> None:
    assert codes(table(name), column(name, type_)) == []


def test_a_composite_column() -> None:
    assert codes(table("home"), column("home", "place", composite=True)) == [
        ("notes.home", "undecided-column")
    ]


def test_the_rows_being_deleted_is_no_decision_on_whose_they_are_too() -> None:
    """Rows of others in which the subject pays would stay."""
    personal = table("payer_id", plain=frozenset({"id"}), personal=frozenset({"body", "payer_id"}))
    assert codes(personal, column("payer_id")) == [("notes.payer_id", "undecided-link")]
    # A text is no key of a person here: it goes with the row.
    assert codes(personal, column("payer_id", "text")) == []
    named = table("owner", plain=frozenset({"id"}), personal=frozenset({"body", "owner"}))
    assert codes(named, column("owner", "text")) == [], "a name that is written out goes with the row, too"


@pytest.mark.parametrize(
    ("number", "type_", "found"),
    [
        (column("number", "bigint"), "integer", True),
        (column("number", "text"), "character varying", True),
        (column("number", "bigint"), "text", False),
        (column("backup_email", "text"), "text", False),
    ],
)
def test_a_link_by_another_number_of_the_person(number: Column, type_: str, found: bool) -> None:
    """Orders that were placed under another address than the one that finds them would stay."""
    personal = table("payer_id", plain=frozenset({"id"}), personal=frozenset({"body", "payer_id"}))
    users = replace(
        USERS_RELATION,
        columns={**USERS_RELATION.columns, number.name: number},
        unique=frozenset({(number.name,)}),
    )
    known = with_column(column("payer_id", type_))
    known = replace(known, relations={**known.relations, USERS: users})
    expected = [("notes.payer_id", "undecided-link")] if found else []
    assert [(one.where, one.code) for one in check(data_map(personal), known)] == expected


def test_a_text_that_is_not_called_after_people_holds_no_name_of_theirs() -> None:
    handle, tax = column("handle", "text"), column("tax_id", "text")
    users = replace(
        USERS_RELATION,
        columns={**USERS_RELATION.columns, "handle": handle},
        unique=frozenset({("handle",)}),
    )
    known = with_column(tax)
    known = replace(known, relations={**known.relations, USERS: users})
    personal = table("tax_id", plain=frozenset({"id"}), personal=frozenset({"body", "tax_id"}))
    assert check(data_map(personal), known) == []


def test_a_role_that_leaves_the_address() -> None:
    """Anonymised rows keep what the role does not set."""
    address = column("client_ip", "text")
    personal = table("client_ip", plain=frozenset({"id"}), personal=frozenset({"body", "client_ip"}))
    assert codes(personal, address) == []
    anonymised = replace(AUTHOR, erasure=Anonymise({"user_id": Constant(None)}))
    assert codes(replace(personal, belongings=(anonymised,)), address) == [
        ("notes.client_ip", "undecided-column")
    ]
    also = replace(AUTHOR, erasure=Anonymise({"user_id": Constant(None), "client_ip": Constant(None)}))
    assert codes(replace(personal, belongings=(anonymised, replace(also, role="b"))), address) == []
    mentioned = replace(AUTHOR, role="m", way=ByMention(("client_ip",)), erasure=Redact("-"), export="none")
    assert codes(replace(personal, belongings=(anonymised, mentioned)), address) == []


def test_what_decides() -> None:
    payer = column("payer_id")
    linked = replace(AUTHOR, role="payer", way=ByColumn(("payer_id",), ("id",)))
    assert codes(table("payer_id", plain=frozenset({"id"}), belongings=(AUTHOR, linked)), payer) == []
    assert codes(table("payer_id", refers={"payer_id": (THINGS, "id")}), payer) == []
    assert codes(table("payer_id"), payer, accepted=(Accepted(NOTES, "payer_id", "by law"),)) == []
    reference = Reference("f", NOTES, ("payer_id",), THINGS, ("id",), "no action", False)
    known = with_column(payer)
    assert check(data_map(table("payer_id")), replace(known, references=(*known.references, reference))) == []


def test_what_a_draft_left_open_is_refused_whatever_its_text() -> None:
    """Removing the word TODO decides nothing."""
    left = table("payer_id", undecided={"payer_id": "20 of 20 values are keys of users"})
    assert codes(left, column("payer_id")) == [("notes.payer_id", "undecided")]
    guessed = replace(NOTES_TABLE, belongings=(replace(AUTHOR, undecided="by its name"),))
    assert codes(guessed, column("id")) == [("notes (author)", "undecided")]
    todo = table("payer_id", reasons={"payer_id": "TODO: why?"})
    assert codes(todo, column("payer_id")) == [("notes.payer_id", "undecided")]


def test_a_key_of_the_table_itself() -> None:
    known = column("note_id", "uuid")
    relation = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "note_id": known}, key=("note_id",))
    assert check(data_map(table("note_id")), catalogue(relation)) == []
    # Somebody else's: one row for each.
    other = replace(
        relation, columns={**NOTES_RELATION.columns, "pupil_id": column("pupil_id")}, key=("pupil_id",)
    )
    assert [one.code for one in check(data_map(table("pupil_id")), catalogue(other))] == ["undecided-link"]


@pytest.mark.parametrize(
    ("stem", "relation", "same"),
    [
        ("category", "categories", True),
        ("parent_post", "posts", True),
        ("order_address", "addresses", True),
        ("post", "posts_archive", False),
        ("box", "boxes", True),
        ("class", "classes", True),
        ("user", "user", True),
        ("status", "statuses", True),
        ("house", "houses", True),
        ("day", "days", True),
    ],
)
def test_names_of_tables(stem: str, relation: str, same: bool) -> None:
    assert column_names.names(stem, Name("public", relation)) is same
