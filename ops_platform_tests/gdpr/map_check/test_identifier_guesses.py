"""What a draft takes for names of a subject: in their own table, whatever they are called, and beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.map_check import draft, undecided_columns
from ops_platform.gdpr.schema import Catalogue, Column, Name, Relation
from ops_platform_tests.gdpr.catalogues import column, relation
from ops_platform_tests.gdpr.map_check.test_link_guesses import ID, reference, table

USERS = Name("public", "users")


def texts(*names: str) -> list[Column]:
    return [column(name, "text") for name in names]


def emails(*unique: str, name: str = "emails") -> Relation:
    columns = (ID, column("user_id", "bigint", not_null=True), *texts("email", "address"))
    return relation(Name("public", name), *columns, unique=frozenset({(one,) for one in unique}))


def drafted(*relations: Relation, email: str = "email") -> dict[str, Any]:
    references = tuple(
        reference(one.name.relation, "user_id", "users") for one in relations if "user_id" in one.columns
    )
    known = Catalogue({one.name: one for one in relations}, references)
    document: dict[str, Any] = yaml.safe_load(draft.draft(known, USERS, ["id"], email))
    return document


def test_identifiers_have_many_names() -> None:
    names = "login handle screen_name githubLogin user_name phone_number work_email"
    others = "display_name login_count email_token email_hash last_login_ip phone_type city"
    users = table(
        "users",
        *texts("email", *names.split(), *others.split(), "nickname"),
        column("msisdn", "bigint"),
        column("mobile_confirmed", "boolean"),
        column("emailed_at", "timestamp with time zone"),
    )
    assert drafted(users)["subject"]["identifiers"] == [*names.split(), "msisdn"]


def test_an_address_beside_the_subjects_table(tmp_path: Path) -> None:
    document = drafted(table("users", *texts("name")), emails("email"))
    subject = document["subject"]
    assert (subject["email"], subject["identifiers"]) == ("emails.email", [])
    [proposed] = subject["known_by"]
    assert (proposed["table"], proposed["column"], proposed["roles"]) == ("emails", "email", ["user"])
    # It may be somebody's whom they know: nobody has decided yet.
    file = tmp_path / "map.yaml"
    file.write_text(yaml.safe_dump(document))
    found = undecided_columns.check(parser.load(file), Catalogue({}, ()))
    assert "emails.email" in [finding.where for finding in found if finding.code == "undecided"]


def test_the_address_of_a_table_of_addresses() -> None:
    document = drafted(table("users", *texts("name")), emails("address"), email="emails.address")
    assert document["subject"]["email"] == "emails.address"


@pytest.mark.parametrize("side", [emails(), emails(name="contacts")], ids=["emails", "contacts"])
def test_addresses_that_several_rows_can_have_name_nobody(side: Relation) -> None:
    with pytest.raises(CheckFailed, match="has no column email"):
        drafted(table("users", *texts("name")), side)
    assert "known_by" not in drafted(table("users", *texts("email")), side)["subject"]


def test_the_address_of_who_was_invited_is_not_theirs() -> None:
    """Rows that only refer to the subject stay, for they are somebody else's."""
    invited = relation(
        Name("public", "profiles"),
        ID,
        column("user_id", "bigint"),
        *texts("email"),
        unique=frozenset({("email",)}),
    )
    known = Catalogue(
        {one.name: one for one in (table("users", *texts("email")), invited)},
        (reference("profiles", "user_id", "users", "set null"),),
    )
    assert "known_by" not in yaml.safe_load(draft.draft(known, USERS, ["id"], "email"))["subject"]
