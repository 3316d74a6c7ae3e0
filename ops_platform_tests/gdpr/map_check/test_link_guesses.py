"""What a draft proposes by names and foreign keys alone, for catalogues that no server has to hold."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.map_check import draft
from ops_platform.gdpr.schema.reader import Catalogue, Column, Reference, Relation
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import column, relation

ID = column("id", "bigint", not_null=True, has_default=True)


def table(name: str, *columns: Column) -> Relation:
    return relation(Name("public", name), ID, *columns)


def reference(name: str, column_: str, target: str, on_delete: Any = "no action") -> Reference:
    place = Name("public", name)
    return Reference(
        f"{name}_{column_}", place, (column_,), Name("public", target), ("id",), on_delete, False
    )


def drafted(*relations: Relation, references: tuple[Reference, ...] = ()) -> dict[str, Any]:
    users = table("users", column("email", "text"), column("handle", "text"))
    known = Catalogue({one.name: one for one in (users, *relations)}, references)
    text = draft.draft(known, users.name, ["id"], "email")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        map_file.load(Path(file.name))
    tables: dict[str, Any] = yaml.safe_load(text)["tables"]
    return tables


@pytest.mark.parametrize(
    "name",
    ["user_id", "userId", "userid", "creator_id", "approved_by", "created_by_id", "owner", "write_uid"],
)
def test_a_column_that_names_people_is_guessed_to_hold_their_key(name: str) -> None:
    things = drafted(table("things", column(name, "bigint")))["things"]
    if name == "write_uid":
        # Nothing tells who or what writes.
        assert list(things["undecided"]) == [name]
        return
    [row] = things["rows"]
    assert (row["column"], row["undecided"].startswith("TODO: by its name")) == (name, True)
    assert "roles" not in row


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("category_id", "categories"),
        ("parent_id", "things"),
        ("old_box_id", "boxes"),
        ("partner_id", "res_partners"),
    ],
)
def test_a_column_that_names_another_table_refers_to_it(name: str, target: str) -> None:
    others = (table("categories"), table("boxes"), table("res_partners"))
    things = drafted(table("things", column(name, "bigint")), *others)["things"]
    assert things["refers"] == {name: f"{target}.id"}
    # Without values, its name alone is no proof.
    assert list(things["undecided"]) == [name]
    assert "rows" not in things


def test_an_address_without_values_claims_no_rows() -> None:
    """Else a company with an address would be deleted with a user, and all that belongs to it."""
    tables = drafted(
        table("companies", column("email", "text")),
        table("machines", column("company_id", "bigint")),
        references=(reference("machines", "company_id", "companies"),),
    )
    assert "rows" not in tables["companies"]
    assert list(tables["companies"]["undecided"]) == ["email"]
    assert "rows" not in tables["machines"]


def test_rows_of_what_somebody_only_approved_are_not_theirs() -> None:
    orders = table("orders", column("buyer_id", "bigint", not_null=True), column("approver_id", "bigint"))
    tables = drafted(
        orders,
        table("lines", column("order_id", "bigint", not_null=True)),
        references=(
            reference("orders", "approver_id", "users", "set null"),
            reference("orders", "buyer_id", "users"),
            reference("lines", "order_id", "orders"),
        ),
    )
    [line] = tables["lines"]["rows"]
    assert (line["through"], line["roles"]) == ("orders", ["buyer"])


def test_a_further_reference_to_rows_that_go() -> None:
    references = (
        reference("posts", "user_id", "users"),
        reference("comments", "user_id", "users", "cascade"),
        reference("comments", "post_id", "posts"),
        reference("posts", "best_comment_id", "comments"),
        reference("posts", "earlier_id", "posts"),
    )
    tables = drafted(
        table("posts", *(column(name, "bigint") for name in ("user_id", "best_comment_id", "earlier_id"))),
        table("comments", column("user_id", "bigint"), column("post_id", "bigint")),
        references=references,
    )
    own, further = tables["comments"]["rows"]
    # Somebody else's post may have it as its best one.
    assert "posts.best_comment_id" in own["undecided"]
    assert (further["through"], further["erase"]) == ("posts", {"anonymise": {"post_id": None}})
    assert further["undecided"].startswith("TODO: these are somebody's")
    assert further["roles"] == ["user"]
    post, best, earlier = tables["posts"]["rows"]
    assert (best["roles"], earlier["through"], earlier["roles"]) == (["user"], "posts", ["user"])
    # A post without its author might stay.
    assert "may be NULL" in post["undecided"]


def test_rows_that_two_subjects_can_reach_are_asked_about() -> None:
    """An erasure refuses them as long as the map says nothing of them."""
    tables = drafted(
        table("notes", *(column(name, "bigint", not_null=True) for name in ("author_id", "about_id"))),
        table("letters", column("user_id", "bigint", not_null=True)),
        references=(
            reference("notes", "author_id", "users", "cascade"),
            reference("notes", "about_id", "users"),
            reference("letters", "user_id", "users"),
        ),
    )
    assert [row["shared"] for row in tables["notes"]["rows"]] == ["delete", "delete"]
    for row in tables["notes"]["rows"]:
        assert row["undecided"] == (
            "TODO: may also be another user's by notes.author_id or about_id; is it right to take such rows "
            "from them, too?"
        )
    # What is one user's alone needs no decision.
    assert not {"shared", "undecided"} & set(tables["letters"]["rows"][0])


@pytest.mark.parametrize(
    ("name", "keeps"),
    [("approved_by_id", True), ("reviewer_id", True), ("point_of_contact_id", True), ("buyer_id", False)],
)
def test_who_only_had_to_do_with_a_row_does_not_own_it(name: str, keeps: bool) -> None:
    """Else an association would be deleted with its contact, and all that belongs to it."""
    tables = drafted(
        table("associations", column(name, "bigint")),
        table("accounts", column("association_id", "bigint", not_null=True)),
        references=(
            reference("associations", name, "users"),
            reference("accounts", "association_id", "associations"),
        ),
    )
    [row] = tables["associations"]["rows"]
    assert row["erase"] == ({"anonymise": {name: None}} if keeps else "delete")
    # What belongs to it goes with it, or stays with it.
    assert ("rows" in tables["accounts"]) is not keeps
    assert "may be NULL" in row["undecided"]


def test_a_pair_of_a_type_and_an_id_is_nothing_by_itself() -> None:
    [things] = [
        drafted(table("things", column("user_type", "text"), column("user_id", "bigint")))["things"],
    ]
    assert "rows" not in things
    assert "says of what" in things["undecided"]["user_id"]


def test_a_text_that_is_called_like_a_person_is_left_to_people() -> None:
    """It may hold a handle, which is how users are known there, or a name that is written out."""
    things = drafted(table("things", column("owner", "text"), column("shipped", "text")))["things"]
    assert list(things["undecided"]) == ["owner"]


def test_categories_and_what_is_nobodys() -> None:
    tables = drafted(
        table(
            "profiles",
            column("user_id", "bigint"),
            column("birthday", "date"),
            column("iban", "text"),
            column("external_id", "text"),
            column("tax_id", "uuid"),
        ),
        table("shops", column("street", "text"), column("display_name", "text")),
        references=(reference("profiles", "user_id", "users"),),
    )
    assert tables["users"]["categories"]["email"] == "user.contact.email"
    assert tables["profiles"]["categories"] == {
        "birthday": "user.demographic.date_of_birth",
        "iban": "user.financial.bank_account",
    }
    # A text that holds no key of a user goes with the row.
    assert "external_id" in tables["profiles"]["personal"]
    assert list(tables["shops"]["undecided"]) == ["street"]


def test_rows_go_with_every_row_that_goes() -> None:
    """Also with a note that goes because of its bill; but no role is found through itself."""
    bigint = "bigint"
    tables = drafted(
        table("bills", column("user_id", bigint, not_null=True), column("note_id", bigint, not_null=True)),
        table("notes", column("user_id", bigint, not_null=True), column("bill_id", bigint, not_null=True)),
        table("lines", column("note_id", bigint, not_null=True)),
        references=(
            reference("bills", "user_id", "users"),
            reference("bills", "note_id", "notes"),
            reference("notes", "user_id", "users"),
            reference("notes", "bill_id", "bills"),
            reference("lines", "note_id", "notes"),
        ),
    )
    [line] = tables["lines"]["rows"]
    assert line["roles"] == ["user", "bill"]
    ways = {
        (name, row["role"]): row.get("roles") for name in ("bills", "notes") for row in tables[name]["rows"]
    }
    assert sorted(map(len, filter(None, ways.values()))) == [1, 2]
