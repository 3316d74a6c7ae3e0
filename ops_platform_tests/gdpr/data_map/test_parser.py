"""Data maps that are read, and a corpus of those that are refused: with file, line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import (
    Anonymise,
    ByColumn,
    ByJson,
    ByMention,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    Redact,
    Remove,
)
from ops_platform.gdpr.schema.relation_name import Name

MAP = """\
version: 1
subject:
  kind: user
  table: users
  key: id
  email: email
tables:
  users:
    purpose: Your account.
    retention: Until you close it.
    personal: [email]
    rows:
      - {role: account, column: id, erase: delete, export: own}
  notes:
    purpose: Your notes.
    retention: Until you remove them.
    personal: [text]
    documents: {seen: {"[*].at": plain}}
    rows:
      - {role: author, column: user_id, erase: {anonymise: {user_id: null, text: pseudonym}}, export: [text]}
      - {role: reader, json: seen, path: "[*].by", erase: remove, export: none}
      - {role: in, column: page, through: pages, to: id, erase: {keep: {basis: law, term: 1 y}}, export: own}
  pages:
    purpose: Pages.
    retention: For ever.
    rows:
      - {role: owner, column: owner, holds: email, erase: delete, export: own}
objects:
  - {bucket: media, prefix: "users/{id}/", purpose: Pictures., export: true}
cache:
  - {pattern: "user:{id}:*", purpose: Copies.}
"""


def load(directory: Path, text: str) -> DataMap:
    file = directory / "map.yaml"
    file.write_text(text, encoding="utf-8")
    return map_file.load(file)


def test_what_a_map_says(tmp_path: Path) -> None:
    found = load(tmp_path, MAP)
    notes = found.tables[Name("public", "notes")]
    author, reader, page = notes.belongings
    assert author.erasure == Anonymise({"user_id": Constant(None), "text": "pseudonym"})
    assert author.export == ("text",)
    assert reader.way == ByJson("seen", JsonPath(("[*]", "by")), "id")
    assert reader.erasure == Remove()
    assert page.way == ByParent(("page",), Name("public", "pages"), ("id",), ())
    assert page.erasure == Keep("law", "1 y")
    assert found.tables[Name("public", "users")].belongings[0].erasure == Delete()
    assert found.subject.identifiers == ("id", "email")
    assert notes.classified == {"text", "seen", "user_id", "page"}


EXACT = """\
version: 1
subject:
  kind: user
  table: users
  key: [tenant, id]
  email: email
  known_by:
    - {table: addresses, column: address, roles: [owner]}
tables:
  users:
    purpose: Your account.
    retention: Until you close it.
    rows:
      - {role: account, column: [tenant, id], erase: delete, export: own}
  addresses:
    purpose: Your addresses.
    retention: Until you close the account.
    rows:
      - {role: owner, column: [user, tenant], holds: [id, tenant], erase: delete, export: own}
  files:
    purpose: Your files.
    retention: Until you remove them.
    rows:
      - role: holder
        column: [record, tenant]
        holds: [id, tenant]
        where: {type: User, state: [1, null], gone: null}
        erase: delete
        export: own
      - {role: sender, column: sender, holds: public.addresses.address, erase: delete, export: own}
  pages:
    purpose: Pages.
    retention: For ever.
    rows:
      - {role: in, column: [file, tenant], through: files, to: [id, tenant], erase: delete, export: own}
objects:
  - {bucket: media, prefix: "{tenant}/{id}/", purpose: Pictures., export: true}
"""


def test_what_a_map_of_several_columns_says(tmp_path: Path) -> None:
    found = load(tmp_path, EXACT)
    subject = found.subject
    assert (subject.key, subject.identifiers, subject.parts) == (
        ("tenant", "id"),
        ("email",),
        ("tenant", "id"),
    )
    assert [(one.name, one.roles) for one in subject.known_by] == [("addresses.address", ("owner",))]
    holder, sender = found.tables[Name("public", "files")].belongings
    assert holder.way == ByColumn(("record", "tenant"), ("id", "tenant"))
    assert holder.where == {
        "type": (Constant("User"),),
        "state": (Constant(1), Constant(None)),
        "gone": (Constant(None),),
    }
    assert found.tables[Name("public", "files")].classified == {
        *("record", "tenant", "type", "state", "gone", "sender"),
    }
    assert sender.way == ByColumn(("sender",), ("addresses.address",))
    [page] = found.tables[Name("public", "pages")].belongings
    assert page.way == ByParent(("file", "tenant"), Name("public", "files"), ("id", "tenant"), ())


def test_the_address_may_be_in_a_side_table(tmp_path: Path) -> None:
    text = EXACT.replace("  email: email\n", "  email: public.addresses.address\n  identifiers: [login]\n")
    subject = load(tmp_path, text).subject
    assert (subject.email, subject.identifiers) == ("addresses.address", ("login",))
    assert subject.address == (Name("public", "addresses"), "address")
    assert load(tmp_path, EXACT).subject.address == (Name("public", "users"), "email")


def test_a_stand_in_of_several_columns_is_put_where_the_rows_are_found(tmp_path: Path) -> None:
    text = EXACT.replace("erase: delete\n", "erase: {anonymise: {record: stand_in}}\n", 1)
    [holder, _] = load(tmp_path, text).tables[Name("public", "files")].belongings
    assert holder.erasure == Anonymise({"record": "stand_in"})


def test_mentions(tmp_path: Path) -> None:
    author = next(line for line in MAP.splitlines() if "role: author" in line).strip(" -")
    mentioned = "{role: named, mentions: [text, more], erase: redact, export: [text]}"
    text = MAP.replace(author, mentioned)
    table = load(tmp_path, text).tables[Name("public", "notes")]
    assert (table.belongings[0].way, table.belongings[0].erasure) == (
        ByMention(("text", "more")),
        Redact("[erased]"),
    )
    assert table.linking == {"seen", "page"}
    worded = load(tmp_path, text.replace("erase: redact", 'erase: {redact: "(removed)"}'))
    assert worded.tables[Name("public", "notes")].belongings[0].erasure == Redact("(removed)")


KEY, ACCOUNT = "key: [tenant, id]", "column: [tenant, id]"
ADDRESS, PREFIX, WHERE = (
    "holds: public.addresses.address",
    "{tenant}/{id}/",
    "type: User, state: [1, null], gone: null",
)


def test_decisions_on_columns(tmp_path: Path) -> None:
    decided = """    personal: [email]
    reasons: {email: Ours.}
    refers: {email: mails.address}
    undecided: {email: "TODO: what?"}
    categories: {email: user.contact.email}
"""
    text = MAP.replace("    personal: [email]\n", decided).replace(
        "holds: email,", "holds: email, undecided: x,"
    )
    data_map = load(tmp_path, text)
    users, pages = (data_map.tables[Name("public", name)] for name in ("users", "pages"))
    assert users.reasons == {"email": "Ours."}
    assert users.refers == {"email": (Name("public", "mails"), "address")}
    assert users.undecided == {"email": "TODO: what?"}
    assert users.categories == {"email": "user.contact.email"}
    assert [belonging.undecided for belonging in pages.belongings] == ["x"]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (KEY, "key: []", 5, "subject.key"),
        (KEY, "key: [id, id]", 5, "names a column twice"),
        (KEY, "key: [tenant, 1]", 5, "subject.key"),
        (ACCOUNT, "column: id", 14, "the key of a user is tenant and id"),
        (ACCOUNT, "column: [id, id]", 14, "names a column twice"),
        (ACCOUNT, "column: id, holds: id", 14, "id is part of the key and names nobody"),
        (ACCOUNT, "column: [tenant, id], holds: [id]", 14, "as many columns of the subject"),
        (ACCOUNT, "array: ids", 14, "the key of a user is tenant and id"),
        (ADDRESS, "holds: addresses.name", 30, "not an identifier of the subject"),
        ("to: [id, tenant]", "to: id", 35, "as many columns of files"),
        ("type: User", "record: 1", 27, "leave it out of where"),
        ("type: User", "type: []", 27, "a value, a list of values, or null"),
        ("type: User", "type: {value: x}", 27, "a value, a list of values, or null"),
        (WHERE, "", 27, "where"),
        ("table: addresses", "table: phones", 8, "no table phones"),
        ("roles: [owner]", "roles: [reader]", 8, "has no role 'reader'"),
        (
            "[user, tenant], holds: [id, tenant]",
            "user, holds: addresses.address",
            8,
            "whose the rows of addresses",
        ),
        (PREFIX, "{tenant}/", 37, "names more than one user"),
        (PREFIX, "{addresses.address}/", 37, "may have several values"),
        (
            "erase: delete\n",
            "erase: {anonymise: {type: stand_in}}\n",
            28,
            "nothing says which this holds",
        ),
    ],
)
def test_what_is_refused_of_several_columns(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    text = EXACT.replace(old, new, 1)
    assert text != EXACT
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'map.yaml'}:{line}: ")


def test_the_version_is_of_what_it_says(tmp_path: Path) -> None:
    version = load(tmp_path, MAP).version
    assert load(tmp_path, "# a remark\n" + MAP).version == version
    assert load(tmp_path, MAP.replace("Your notes", "Notes")).version != version


def test_what_is_accepted(tmp_path: Path) -> None:
    accepted = "accepted: [{place: 'audit.\"a.b\".text', because: The law keeps it.}]\n"
    [place] = load(tmp_path, MAP + accepted).accepted
    assert place.place == (Name("audit", "a.b"), "text")
    assert str(place) == 'audit."a.b".text'
    assert load(tmp_path, MAP).accepted == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("version: 1", "version: 2", 1, "version"),
        ("kind: user", "kind: The User", 3, "subject.kind"),
        ("  email: email\n", "", 2, "subject.email: is missing"),
        ("  key: id", "  key: id\n  colour: red", 6, "subject.colour: is not known here"),
        ("table: users", "table: a.b.c", 4, "is not a relation's name"),
        ("personal: [email]", "personal: [email]\n    plain: [email]", 12, "email is in personal already"),
        ("personal: [email]", "personal: [email]\n    titles: {phone: Telephone}", 12, "has no column phone"),
        ("personal: [email]", "personal: [email]\n    reasons: {phone: Ours.}", 12, "has no column phone"),
        ("personal: [email]", "personal: [email]\n    refers: {email: mails}", 12, "'mails' is no column"),
        ("personal: [email]", "personal: [email]\n    categories: {email: user.mail}", 12, "no category"),
        ("column: id, erase: delete", "erase: delete", 13, "one of column, array, json"),
        (
            "column: id, erase: delete",
            "column: id, array: id, erase: delete",
            13,
            "one of column, array, json",
        ),
        ("column: id, erase: delete", "column: id, path: x, erase: delete", 13, "does not go with column"),
        ("column: id, erase: delete", "column: id, erase: forget", 13, "erase"),
        ("column: id, erase: delete", "column: id, erase: remove", 13, "takes an element out"),
        ("column: id, erase: delete", "column: id, erase: {}", 13, "say one of"),
        ("column: id, erase: delete", "column: id, erase: redact", 13, "goes with mentions"),
        ("column: id, erase: delete", "mentions: email, erase: delete", 13, "and mentions with nothing else"),
        ("column: id, erase: delete", "mentions: email, erase: redact", 13, "are other people's"),
        ("column: id, erase", "mentions: email, holds: id, erase", 13, "not go with mentions"),
        ("column: id, erase: delete", 'mentions: email, erase: {redact: "<>"}', 13, "letters, digits"),
        (
            "column: id, erase: delete",
            "column: id, erase: {anonymise: {a: 1}, keep: {basis: x, term: y}}",
            13,
            "one of",
        ),
        ("export: own}\n  notes", "export: some}\n  notes", 13, "export"),
        ("text: pseudonym}", "text: blank}", 20, "must be null, pseudonym"),
        ("{basis: law, term: 1 y}", "{basis: law}", 22, "term: is missing"),
        ('path: "[*].by"', 'path: "$..by"', 21, "is not a path"),
        ('json: seen, path: "[*].by"', "json: seen", 21, "json needs a path"),
        ("role: reader", "role: author", 21, "is there twice"),
        ("through: pages, to: id", "through: pages", 22, "which column of pages"),
        ("through: pages, to: id", "through: books, to: id", 22, "no table books"),
        ("through: pages, to: id", "through: pages, to: id, roles: [reader]", 22, "has no role"),
        ("through: pages, to: id", "through: notes, to: id", 22, "in a circle"),
        ("to: id, erase", "to: id, holds: email, erase", 22, "does not go with through"),
        ("holds: email", "holds: name", 27, "not an identifier of the subject"),
        ("  notes:", "  public.users:\n    purpose: x\n    retention: y\n  notes:", 14, "is there twice"),
        ("users/{id}/", "users/{id}", 29, "must end with a slash"),
        ("users/{id}/", "users/", 29, "names no subject"),
        ("users/{id}/", "users/{name}/", 29, "not an identifier"),
        ("user:{id}:*", "user:{id}*", 31, "must set it apart"),
        ("cache:", "views: {names: {refresh: a.b.c}}\ncache:", 30, "is not a relation's name"),
        ("tables:", "tables: {}\nnothing:", 7, "tables"),
        ("cache:", "accepted: [{place: users, because: law}]\ncache:", 30, "is no column"),
        ("cache:", "accepted: [{place: users.email}]\ncache:", 30, "because: is missing"),
        ("cache:", "accepted: [{place: users.email, because: ' '}]\ncache:", 30, "because"),
        ("cache:", "accepted: [{place: users.email, because: 'TODO: why?'}]\ncache:", 30, "not written yet"),
        (
            "cache:",
            "accepted:\n"
            "  - {place: users.email, because: a}\n"
            "  - {place: public.users.email, because: b}\n"
            "cache:",
            32,
            "is there twice",
        ),
        (MAP, "- a\n", 1, "document"),
        (MAP, MAP + "---\n" + MAP, None, "2 documents"),
        (MAP, "", None, "0 documents"),
        (MAP, "a: [", 1, "YAML"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, line: int | None, says: str) -> None:
    text = MAP.replace(old, new, 1)
    assert text != MAP
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    said = str(caught.value)
    assert says in said
    assert "\n" not in said
    if line is not None:
        assert said.startswith(f"{tmp_path / 'map.yaml'}:{line}: ")


def test_tables_and_columns_have_titles_for_people(tmp_path: Path) -> None:
    said = "    title: Your account\n    titles: {email: Address, id: Number}\n    personal: [email]\n"
    table = load(tmp_path, MAP.replace("    personal: [email]\n", said)).tables[Name.parse("users")]
    assert (table.title, table.titles) == ("Your account", {"email": "Address", "id": "Number"})
    assert load(tmp_path, MAP).tables[Name.parse("users")].titles == {}


MENTIONS = MAP.replace(
    "      - {role: owner, column: owner, holds: email, erase: delete, export: own}\n",
    "      - {role: owner, column: owner, holds: email, erase: delete, export: own}\n"
    "      - {role: named, mentions: [text], erase: redact, export: none}\n",
)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "through: pages, to: id",
            "through: pages, to: id, roles: [named]",
            "rows of pages as 'named'",
        ),
        (
            "      - {role: owner, column: owner, holds: email, erase: delete, export: own}\n",
            "",
            "mentions do not",
        ),
        (
            "  email: email\n",
            "  email: email\n  known_by: [{table: pages, column: at, roles: [named]}]\n",
            "are other people's, and so is what belongs to them",
        ),
    ],
)
def test_who_mentions_somebody_is_not_them(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert load(tmp_path, MENTIONS).tables[Name.parse("pages")].belongings[1].way == ByMention(("text",))
    with pytest.raises(ConfigurationError, match=says):
        load(tmp_path, MENTIONS.replace(old, new, 1))
