"""Identifiers in what others wrote are replaced, and nothing else there; what cannot be is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr import map_check
from ops_platform.gdpr.export.rows import Rows
from ops_platform.gdpr.row_erasure import engine, foresee, preview
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL UNIQUE, handle text NOT NULL);
CREATE TABLE comments (id int PRIMARY KEY, author_id int REFERENCES users, body text, payload jsonb,
                       raw json, note varchar(60));
CREATE INDEX ON comments (author_id);
INSERT INTO users VALUES (1, 'anna.k@example.org', 'anna_k.7'), (2, 'bob@example.org', 'bobby.8');
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email, identifiers: [handle]}
tables:
  users: {personal: [email, handle], rows: [{role: account, column: id, erase: delete}]}
  comments:
    personal: [body, payload, raw, note]
    plain: [id]
    rows:
      - {role: author, column: author_id, erase: delete}
      - {role: mentioned, mentions: [body, payload, raw, note], erase: redact, export: [id, body]}
"""
PAYLOAD = {
    "to": ["ANNA.K@example.org", "bob@example.org"],
    "text": 'hello\n@anna_k.7: "see" anna.k@example.org, anna.k+shop@example.org',
    "none": None,
}
NUMBER = "12345678901234567890.25"
RAW = '{"b" : 1.50, "b":2,  "who": "anna_k.7",\n "\\u00e9": "<\\u003canna.k\\u0040example.org\\u003e"}'


def filled(product: Product) -> None:
    with product.owner() as owner:
        owner.execute(SCHEMA)
        rows = [
            (1, 1, "my own, anna_k.7", None, None, None),
            (2, 2, "thanks @anna_k.7! anna_k.7, anna_k.70 and old.anna_k.7", None, None, "write to anna_k.7"),
            (3, 2, "nothing", json.dumps(PAYLOAD).replace("null", f'null, "number": {NUMBER}'), RAW, None),
            (
                4,
                2,
                "https://x.example/?to=anna.k%40example.org&n=1 [erased] <a>anna.k&#64;example.org</a>",
                None,
                None,
                None,
            ),
            (5, 2, "of others: bobby.8", json.dumps({"x": "bobby.8"}), None, None),
        ]
        for row in rows:
            owner.execute("INSERT INTO comments VALUES (%s, %s, %s, %s, %s, %s)", row)


def test_what_others_wrote_is_redacted(bare_product: Product, tmp_path: Path) -> None:
    filled(bare_product)
    data_map = map_of(tmp_path, MAP)
    with bare_product.eraser() as eraser:
        with eraser.transaction():
            assert map_check.check(eraser, data_map) == []
        known = catalogue.read(eraser)
        what = erasing(eraser, data_map, "1")
        shares = preview.preview(eraser, data_map, known, what.identity)
        assert ("mentioned", "redact body, note, payload, raw", 4) in [
            (share.role, share.erasure, share.rows) for share in shares
        ]
        [_, mentioned] = data_map.tables[
            next(name for name in data_map.tables if name.relation == "comments")
        ].belongings
        table = next(table for table, belonging in data_map.belongings() if belonging is mentioned)
        with eraser.transaction():
            rows = Rows(data_map, known, what.identity, "salt")
            lines = b"".join(block.lines for block in rows.blocks(eraser, table, mentioned))
        assert [json.loads(line)["id"] for line in lines.splitlines()] == [1, 2, 3, 4]
        foresee(eraser, data_map, known, what).refuse()
        engine.erase(eraser, data_map, known, what, batch=2)
        assert left(eraser, data_map, what) == ([], [])
        found = {
            row["id"]: (row["body"], row["payload"], row["raw"], row["note"])
            for row in eraser.execute(
                "SELECT id, body, payload::text, raw::text, note FROM comments ORDER BY id"
            )
        }
    assert set(found) == {2, 3, 4, 5}
    assert found[2] == (
        "thanks @[erased]! [erased], anna_k.70 and old.anna_k.7",
        None,
        None,
        "write to [erased]",
    )
    payload = json.loads(found[3][1], parse_float=str)
    assert payload == {
        **PAYLOAD,
        "number": NUMBER,
        "to": ["[erased]", "bob@example.org"],
        "text": 'hello\n@[erased]: "see" [erased], [erased]',
    }
    assert found[3][2] == '{"b" : 1.50, "b":2,  "who": "[erased]",\n "\\u00e9": "<\\u003c[erased]\\u003e"}'
    assert found[4][0] == "https://x.example/?to=[erased]&n=1 [erased] <a>[erased]</a>"
    assert found[5][:2] == ("of others: bobby.8", '{"x": "bobby.8"}')


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", "data:text/plain;base64," + base64.b64encode(b"to anna.k@example.org").decode()),
        ("payload", json.dumps({"anna.k@example.org": 1})),
    ],
)
def test_what_cannot_be_replaced_exactly_is_refused_first(
    bare_product: Product, tmp_path: Path, column: str, value: str
) -> None:
    filled(bare_product)
    data_map = map_of(tmp_path, MAP)
    with bare_product.owner() as owner:
        owner.execute(f"INSERT INTO comments (id, author_id, {column}) VALUES (9, 2, %s)", (value,))
    before = bare_product.digest()
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(
            CheckFailed, match=r"comments \(mentioned\): in 1 rows .* cannot be replaced exactly"
        ):
            engine.erase(eraser, data_map, catalogue.read(eraser), what)
    assert bare_product.digest() == before


@pytest.mark.parametrize("accepted", [False, True])
def test_what_cannot_be_replaced_holds_up_no_replay_and_no_map_that_accepts_it(
    bare_product: Product, tmp_path: Path, accepted: bool
) -> None:
    filled(bare_product)
    text = MAP + "accepted: [{place: comments.payload, because: Counts of reactions.}]\n" if accepted else MAP
    data_map = map_of(tmp_path, text)
    with bare_product.owner() as owner:
        owner.execute(
            "INSERT INTO comments (id, author_id, body, payload) VALUES (9, 2, 'by anna_k.7', %s)",
            (json.dumps({"anna_k.7": 3, "said": "anna_k.7"}),),
        )
    with bare_product.eraser() as eraser:
        known = catalogue.read(eraser)
        what = erasing(eraser, data_map, "1", replay=not accepted)
        if accepted:
            foresee(eraser, data_map, known, what).refuse()
        engine.erase(eraser, data_map, known, what)
        assert engine.remaining(eraser, data_map, known, what) == []
        lost = [effect.before for effect in engine.unredactable(eraser, data_map, known, what)]
        assert lost == ([] if accepted else [1])
        [row] = eraser.execute("SELECT body, payload FROM comments WHERE id = 9").fetchall()
        assert row == {"body": "by [erased]", "payload": {"anna_k.7": 3, "said": "[erased]"}}
        [row] = eraser.execute("SELECT count(*) AS n FROM users WHERE id = 1").fetchall()
        assert row == {"n": 0}


def test_what_belongs_to_a_row_with_a_mention_is_its_authors(bare_product: Product, tmp_path: Path) -> None:
    filled(bare_product)
    with bare_product.owner() as owner:
        owner.execute(
            """
            CREATE TABLE files (id int PRIMARY KEY, comment int REFERENCES comments, file text);
            CREATE TABLE contacts (id int PRIMARY KEY, owner int REFERENCES users, address text, note text);
            CREATE TABLE letters (id int PRIMARY KEY, sender text);
            CREATE INDEX ON files (comment); CREATE INDEX ON contacts (owner);
            CREATE INDEX ON letters (sender);
            INSERT INTO files VALUES (1, 1, 'of anna'), (2, 2, 'of bob');
            INSERT INTO contacts VALUES (1, 1, 'anna@work.example', 'mine'),
                                        (2, 2, 'bob@work.example', 'friend of anna_k.7');
            INSERT INTO letters VALUES (1, 'anna@work.example'), (2, 'bob@work.example');
            """
        )
    data_map = map_of(
        tmp_path,
        MAP.replace("[handle]}", "[handle], known_by: [{table: contacts, column: address}]}")
        + """
  files:
    personal: [file]
    plain: [id]
    rows: [{role: author, column: comment, through: comments, to: id, erase: delete, export: own}]
  contacts:
    personal: [address, note]
    plain: [id]
    rows:
      - {role: owner, column: owner, erase: delete}
      - {role: mentioned, mentions: [note], erase: redact}
  letters:
    plain: [id]
    rows: [{role: sender, column: sender, holds: contacts.address, erase: delete}]
""",
    )
    with bare_product.eraser() as eraser:
        with eraser.transaction():
            assert map_check.check(eraser, data_map) == []
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        assert what.identity.of("contacts.address") == ("anna@work.example",)
        [(table, author)] = [one for one in data_map.belongings() if one[0].name.relation == "files"]
        with eraser.transaction():
            rows = Rows(data_map, known, what.identity, "salt")
            lines = b"".join(block.lines for block in rows.blocks(eraser, table, author))
        assert [json.loads(line)["id"] for line in lines.splitlines()] == [1]
        foresee(eraser, data_map, known, what).refuse()
        engine.erase(eraser, data_map, known, what)
        assert left(eraser, data_map, what) == ([], [])
        for name, kept in {"files": [2], "contacts": [2], "letters": [2]}.items():
            assert [row["id"] for row in eraser.execute(f"SELECT id FROM {name}")] == kept, name
        [note] = eraser.execute("SELECT address, note FROM contacts").fetchall()
    assert note == {"address": "bob@work.example", "note": "friend of [erased]"}


def test_a_trigger_that_changes_the_rest_of_the_text_stops_the_erasure(
    bare_product: Product, tmp_path: Path
) -> None:
    filled(bare_product)
    data_map = map_of(tmp_path, MAP)
    with bare_product.owner() as owner:
        owner.execute(
            """
            CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.body := upper(NEW.body); RETURN NEW; END $$;
            CREATE TRIGGER shout BEFORE UPDATE ON comments FOR EACH ROW EXECUTE FUNCTION shout();
            """
        )
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(CheckFailed, match=r"comments \(mentioned\): more columns"):
            engine.erase(eraser, data_map, catalogue.read(eraser), what)
        [row] = eraser.execute("SELECT body FROM comments WHERE id = 2").fetchall()
    assert row["body"].startswith("thanks @anna_k.7!")


def test_a_row_that_the_law_keeps_is_left_as_it_is(bare_product: Product, tmp_path: Path) -> None:
    filled(bare_product)
    kept = MAP.replace(
        "erase: delete}\n      - {role: m", "erase: {keep: {basis: HGB, term: 6 years}}}\n      - {role: m"
    )
    kept = kept.replace(
        "rows: [{role: account, column: id, erase: delete}]",
        "rows: [{role: account, column: id, erase: {anonymise: {email: pseudonym, handle: pseudonym}}}]",
    )
    data_map = map_of(tmp_path, kept)
    with bare_product.eraser() as eraser:
        known = catalogue.read(eraser)
        engine.erase(eraser, data_map, known, erasing(eraser, data_map, "1"))
        rows = eraser.execute("SELECT id, body FROM comments WHERE id < 3 ORDER BY id").fetchall()
    assert [row["body"] for row in rows] == [
        "my own, anna_k.7",
        "thanks @[erased]! [erased], anna_k.70 and old.anna_k.7",
    ]


OTHERS = """
INSERT INTO users VALUES (3, 'anna.k+eve@example.org', 'evelyn.9'), (4, 'anna_k.7@mail.example', 'kay_nine');
"""
"""Of people whose addresses hold an identifier of the subject's."""


def test_addresses_of_others_stay_as_they_are(bare_product: Product, tmp_path: Path) -> None:
    filled(bare_product)
    said = {
        "to anna.k+eve@example.org or anna.k@example.org": "to anna.k+eve@example.org or [erased]",
        "see anna.k%2Beve%40example.org, by anna_k.7": "see anna.k%2Beve%40example.org, by [erased]",
        "anna_k.7@mail.example is not @anna_k.7": "anna_k.7@mail.example is not @[erased]",
        "anna_k.7@mail.example alone": "anna_k.7@mail.example alone",
        "anna.k+eve@example.org alone": "anna.k+eve@example.org alone",
    }
    with bare_product.owner() as owner:
        owner.execute(OTHERS)
        for number, text in enumerate(said, 10):
            owner.execute("INSERT INTO comments (id, author_id, body) VALUES (%s, 2, %s)", (number, text))
    data_map = map_of(tmp_path, MAP)
    with bare_product.eraser() as eraser:
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        assert [one.column for one in foresee(eraser, data_map, known, what).uncovered] == []
        engine.erase(eraser, data_map, known, what)
        assert left(eraser, data_map, what) == ([], [])
        rows = eraser.execute("SELECT body FROM comments WHERE id >= 10 ORDER BY id").fetchall()
        emails = eraser.execute("SELECT email FROM users WHERE id > 2 ORDER BY id").fetchall()
    assert [row["body"] for row in rows] == [*said.values()]
    assert [row["email"] for row in emails] == ["anna.k+eve@example.org", "anna_k.7@mail.example"]


def test_a_name_in_an_address_that_may_be_anybodys_is_for_people_to_decide(
    bare_product: Product, tmp_path: Path
) -> None:
    filled(bare_product)
    text = "mail my sister, anna_k.7@mail.example or anna_k.7+shop@mail.example"
    with bare_product.owner() as owner:
        owner.execute("INSERT INTO comments (id, author_id, body) VALUES (10, 2, %s)", (text,))
    data_map = map_of(tmp_path, MAP)
    with bare_product.eraser() as eraser:
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        seen = foresee(eraser, data_map, known, what).uncovered
        assert [(one.column, one.rows) for one in seen] == [("body", 1)]
        engine.erase(eraser, data_map, known, what)
        [row] = eraser.execute("SELECT body FROM comments WHERE id = 10").fetchall()
        assert left(eraser, data_map, what) == ([], ["comments.body"])
    assert row["body"] == text


def test_a_text_that_would_become_too_long_is_refused_first(bare_product: Product, tmp_path: Path) -> None:
    filled(bare_product)
    longer = MAP.replace("erase: redact, export: [id, body]", "erase: {redact: (taken out)}")
    data_map = map_of(tmp_path, longer)
    with bare_product.owner() as owner:
        owner.execute(
            "INSERT INTO comments (id, author_id, note) VALUES (9, 2, rpad('to anna_k.7 ', 57, '.'))"
        )
    before = bare_product.digest()
    with bare_product.eraser() as eraser:
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        engine.refuse_unredactable(eraser, data_map, known, what)
        with bare_product.owner() as owner:
            owner.execute("UPDATE comments SET note = rpad(note, 58, '.') WHERE id = 9")
        with pytest.raises(CheckFailed, match=r"in 1 rows .* cannot be replaced exactly"):
            engine.refuse_unredactable(eraser, data_map, known, what)
        with bare_product.owner() as owner:
            owner.execute("UPDATE comments SET note = rpad(note, 57) WHERE id = 9")
    assert bare_product.digest() == before
