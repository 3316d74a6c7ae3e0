"""Maps whose subject has data in several databases: what is read of them, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.model import ByColumn, ByParent, DataMap
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform.gdpr.reports import map_review
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.transparency import processing_record

ROW = {"erase": "delete", "export": "own"}
TEXTS = {"purpose": "a test", "retention": "a test"}
ACCOUNT = {"role": "account", "column": "id", **ROW}
PAYER = {"role": "payer", "column": "user_id", **ROW}
BY_MAIL = {"role": "by mail", "column": "mail", "holds": "email", **ROW}
MENTION = {"role": "m", "mentions": ["mail"], "erase": "redact", "export": "none"}
INVOICE = {"role": "theirs", "column": "payer_id", "through": "payers", "to": "id", **ROW}


def document(**changes: Any) -> dict[str, Any]:
    """Users at home; in billing their payers, invoices of these, and a table of the home table's name."""
    billing = {
        "url_env": "BILLING_DATABASE_URL",
        "tables": {
            "payers": {**TEXTS, "plain": ["id"], "personal": ["mail"], "rows": [PAYER, BY_MAIL]},
            "invoices": {**TEXTS, "plain": ["id"], "rows": [INVOICE]},
            "users": {**TEXTS, "plain": ["id"]},
        },
        "accepted": [{"place": "payers.mail", "because": "a test"}],
        **changes,
    }
    return {
        "version": 1,
        "subject": {"kind": "user", "table": "users", "key": "id", "email": "email"},
        "databases": {"billing": billing},
        "tables": {"users": {**TEXTS, "personal": ["email"], "rows": [ACCOUNT]}},
    }


def parse(directory: Path, content: Mapping[str, Any]) -> DataMap:
    file = directory / "data_map.yaml"
    file.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return map_file.load(file)


def test_each_database_is_a_part_of_the_map(tmp_path: Path) -> None:
    data_map = parse(tmp_path, document(stanza="money"))
    assert data_map.database is None
    assert [*data_map.tables] == [Name("public", "users")]
    [billing] = data_map.databases
    assert billing.database == Database("billing", "BILLING_DATABASE_URL", "money")
    assert [str(name) for name in billing.tables] == ["payers", "invoices", "users"]
    by_key, by_mail = billing.tables[Name.parse("payers")].belongings
    assert isinstance(by_key.way, ByColumn)
    assert by_key.way.holds == ("id",)
    assert isinstance(by_mail.way, ByColumn)
    assert by_mail.way.holds == ("email",)
    [through] = billing.tables[Name.parse("invoices")].belongings
    assert isinstance(through.way, ByParent)
    assert billing.version == data_map.version
    assert [str(place) for place in billing.accepted] == ["payers.mail"]
    assert data_map.accepted == ()
    assert billing.place("invoices") == "billing: invoices"
    assert data_map.place("users") == "users"


def test_a_table_of_the_subjects_name_is_not_the_subjects(tmp_path: Path) -> None:
    """The subject's table is at home: in billing a table of that name is one like any other."""
    [billing] = parse(tmp_path, document()).databases
    assert billing.subject.table not in billing.tables
    assert billing.subject.key == ("id",)


def test_the_record_of_processing_names_the_database(tmp_path: Path) -> None:
    record = processing_record.compose(parse(tmp_path, document()))
    assert [activity["table"] for activity in record["activities"]] == [
        "users",
        "billing: payers",
        "billing: invoices",
    ]
    assert record["tables_without_personal_data"] == ["billing: users"]


def payers(**changes: Any) -> dict[str, Any]:
    table = {**TEXTS, "plain": ["id"], "personal": ["mail"], "rows": [PAYER]}
    return {"tables": {"payers": {**table, **changes}}}


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (document(url_env="postgresql://x"), "databases.billing.url_env", "match pattern"),
        (document(urls="X"), "databases.billing.urls", "not known"),
        (
            document(**payers(rows=[{**INVOICE, "through": "users"}])),
            "databases.billing.tables.payers.rows.0.through",
            "users is in the home database",
        ),
        (
            document(**payers(rows=[MENTION])),
            "databases.billing.tables.payers.rows.0.mentions",
            "in the home database only",
        ),
        (
            document(**payers(rows=[{**PAYER, "erase": {"anonymise": {"user_id": "stand_in"}}}])),
            "databases.billing.tables.payers.rows.0",
            "a stand-in is a row of the home database",
        ),
        (
            document(**payers(rows=[{**PAYER, "shared": "stand_in"}])),
            "databases.billing.tables.payers.rows.0",
            "a stand-in is a row of the home database",
        ),
        (
            document(**payers(retention={"after": "P1Y", "of": "made", "do": "delete"}, plain=["made"])),
            "databases.billing.tables.payers.retention",
            "in the home database only",
        ),
        (
            document(**payers(rows=[{**PAYER, "holds": "phone"}])),
            "databases.billing.tables.payers.rows.0.holds",
            "not an identifier of the subject",
        ),
        (
            document(**payers(rows=[{**PAYER, "of": "guest"}])),
            "databases.billing.tables.payers.rows.0.of",
            "no subjects of the kind guest",
        ),
        (
            {**document(), "databases": {"product": document()["databases"]["billing"]}},
            "databases.product",
            "the home database's name",
        ),
        (
            {**document(), "databases": {name: document()["databases"]["billing"] for name in ("a", "b")}},
            "databases.b.url_env",
            "is the database a already",
        ),
    ],
)  # fmt: skip
def test_what_a_part_cannot_have_is_refused_by_name(
    tmp_path: Path, content: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(tmp_path, content)
    assert f": {place}: " in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_term_of_who_is_meant_is_refused(tmp_path: Path) -> None:
    content = document()
    term = {"after": "P2Y", "of": "made", "do": "delete"}
    content["tables"]["users"] |= {"retention": term, "plain": ["made"]}
    with pytest.raises(ConfigurationError, match=r"billing: rows here are found by what users says"):
        parse(tmp_path, content)


def test_several_kinds_of_subject_are_refused(tmp_path: Path) -> None:
    content = document()
    del content["subject"]
    content["subjects"] = {
        "user": {"table": "users", "key": "id", "email": "email"},
        "guest": {"table": "guests", "key": "id", "email": "email"},
    }
    for place in (content["tables"]["users"], content["databases"]["billing"]["tables"]["invoices"]):
        place["rows"][0] = {**place["rows"][0], "of": "user"}
    for row in content["databases"]["billing"]["tables"]["payers"]["rows"]:
        row["of"] = "user"
    content["databases"]["billing"]["accepted"][0]["of"] = "user"
    content["tables"]["guests"] = {**TEXTS, "rows": [{**ACCOUNT, "of": "guest"}]}
    with pytest.raises(ConfigurationError, match=r"does not go with several kinds of subject .* no way"):
        parse(tmp_path, content)


def test_somebody_of_another_kind_was_erased_before(tmp_path: Path) -> None:
    """No restore could be replayed by a map that has one kind only, as one with databases must."""
    data_map = parse(tmp_path, document())
    [found] = map_review.erased_kinds(data_map, ["guest", "user"])
    assert found.code == "erased-kind"
    assert "a guest was erased" in found.message
    assert map_review.erased_kinds(data_map, ["user"]) == []
    assert map_review.erased_kinds(replace(data_map, databases=()), ["guest"]) == []
