"""Data maps that are read, and a corpus of those that are refused: with file, line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import (
    Anonymise,
    ByJson,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
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
    assert page.way == ByParent("page", Name("public", "pages"), "id", ())
    assert page.erasure == Keep("law", "1 y")
    assert found.tables[Name("public", "users")].belongings[0].erasure == Delete()
    assert found.subject.identifiers == ("id", "email")
    assert notes.classified == {"text", "seen", "user_id", "page"}


def test_the_version_is_of_what_it_says(tmp_path: Path) -> None:
    version = load(tmp_path, MAP).version
    assert load(tmp_path, "# a remark\n" + MAP).version == version
    assert load(tmp_path, MAP.replace("Your notes", "Notes")).version != version


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("version: 1", "version: 2", 1, "version"),
        ("kind: user", "kind: The User", 3, "subject.kind"),
        ("  email: email\n", "", 2, "subject.email: is missing"),
        ("  key: id", "  key: id\n  colour: red", 6, "subject.colour: is not known here"),
        ("table: users", "table: a.b.c", 4, "is not a relation's name"),
        ("personal: [email]", "personal: [email]\n    plain: [email]", 12, "email is in personal already"),
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
