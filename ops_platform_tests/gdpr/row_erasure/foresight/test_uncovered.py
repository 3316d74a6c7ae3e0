"""What is foreseen is what an erasure leaves, row by row; and each proposal covers what it is made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.connections.open_database import OpenDatabase
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.foresight.outlook import of_keys
from ops_platform.gdpr.row_erasure.foresight.uncovered import Foresight, foresee
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, map_of, outlook_of

pytestmark = pytest.mark.services

ANNA = "anna@example.org"
SCHEMA = f"""
CREATE TABLE users (id int PRIMARY KEY, email text, motto text);
CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users, title text, body text);
CREATE TABLE answers (id int PRIMARY KEY, author int REFERENCES users, post int REFERENCES posts,
                      parent int REFERENCES answers, body text);
CREATE TABLE logs (id int PRIMARY KEY, actor int, target int, message text, extra text);
CREATE TABLE docs (id int PRIMARY KEY, doc jsonb, mails text[]);
CREATE TABLE accounts (number int PRIMARY KEY, user_id int REFERENCES users);
CREATE TABLE books (id int PRIMARY KEY, account int, memo text);
CREATE TABLE events (id int, happened date, who int, said text) PARTITION BY RANGE (happened);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE base (id int, who int, said text);
CREATE TABLE derived (heard text) INHERITS (base);
CREATE TABLE files (id int PRIMARY KEY, owner_type text, owner_id int, name text);
CREATE MATERIALIZED VIEW directory AS SELECT id, email FROM users;
INSERT INTO users VALUES (1, '{ANNA}', 'x'), (2, 'ben@example.org', 'as {ANNA} says');
INSERT INTO posts VALUES
    (1, 1, 'of {ANNA}', '{ANNA}'), (2, 1, 'of {ANNA}', '{ANNA}'), (3, 1, 'of {ANNA}', '{ANNA}'),
    (4, 1, 'of {ANNA}', '{ANNA}'), (5, 2, 'of ben', 'thanks {ANNA}');
INSERT INTO answers VALUES
    (1, 2, 2, NULL, 'by ben'), (2, 1, 3, NULL, '{ANNA}'), (3, 1, 4, NULL, '{ANNA}'), (4, 2, NULL, 3, 'x'),
    (5, 2, 5, NULL, 'agreed, {ANNA}');
INSERT INTO logs VALUES
    (1, 1, NULL, '{ANNA}', 'x'), (2, 1, NULL, 'x', 'from {ANNA}'), (3, 2, NULL, 'to {ANNA}', '{ANNA}'),
    (4, NULL, 1, 'x', 'of {ANNA}'), (5, 1, 1, '{ANNA}', '{ANNA}');
INSERT INTO docs VALUES
    (1, '{{"to": [{{"mail": "{ANNA}", "name": "Anna {ANNA}"}}], "text": "x"}}', '{{}}'),
    (2, '{{"to": [{{"mail": "{ANNA}"}}], "text": "dear {ANNA}"}}', '{{{ANNA}}}'),
    (3, '{{"to": [], "text": "x"}}', '{{{ANNA},Anna <{ANNA}>}}');
INSERT INTO accounts VALUES (7, 1), (8, 2);
INSERT INTO books VALUES (1, 7, 'from {ANNA}'), (2, 8, 'to {ANNA}');
INSERT INTO events VALUES (1, '2026-02-01', 1, '{ANNA}'), (2, '2026-02-01', 2, '{ANNA}');
INSERT INTO files VALUES (1, 'User', 1, 'by {ANNA}'), (2, 'Post', 1, 'by {ANNA}');
INSERT INTO base VALUES (1, 1, '{ANNA}');
INSERT INTO derived VALUES (2, 1, '{ANNA}', '{ANNA}'), (3, 2, 'x', '{ANNA}');
REFRESH MATERIALIZED VIEW directory;
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], plain: [motto], rows: [{role: account, column: id, erase: delete}]}
  posts:
    personal: [title, body]
    plain: [id]
    rows:
      - role: author
        column: author
        erase: {delete_unless_referenced: {author: null, body: {value: "-"}}}
  answers:
    personal: [body]
    plain: [id, post, parent]
    rows:
      - role: author
        column: author
        erase: {delete_unless_referenced: {author: null, body: {value: "-"}}}
  logs:
    personal: [message, extra]
    plain: [id]
    rows:
      - {role: actor, column: actor, erase: {anonymise: {actor: null, message: null, target: null}}}
      - {role: target, column: target, erase: {anonymise: {target: null, extra: null}}}
  docs:
    plain: [id]
    documents: {doc: {"to[*].name": personal, text: plain}}
    rows:
      - {role: addressee, json: doc, path: "to[*].mail", holds: email, erase: remove}
      - {role: watcher, array: mails, holds: email, erase: remove}
  accounts: {plain: [number], rows: [{role: owner, column: user_id, erase: delete}]}
  books:
    personal: [memo]
    plain: [id]
    rows:
      - {role: o, column: account, through: accounts, to: number, erase: {keep: {basis: law, term: 1 y}}}
  events: {personal: [said], plain: [id, happened], rows: [{role: who, column: who, erase: delete}]}
  base: {personal: [said], plain: [id], rows: [{role: who, column: who, erase: delete}]}
  derived: {plain: [id, who, said, heard]}
  files:
    personal: [name]
    plain: [id]
    rows: [{role: owner, column: owner_id, where: {owner_type: User}, erase: delete}]
views:
  directory: {personal: [id, email]}
"""
LEFT = {
    "answers.body": 1,
    "base.said": 0,
    "books.memo": 1,
    "derived.heard": 1,
    "docs.doc": 1,
    "docs.mails": 1,
    "events.said": 1,
    "files.name": 1,
    "logs.extra": 3,
    "logs.message": 1,
    "posts.body": 1,
    "posts.title": 2,
    "users.motto": 1,
}


def foreseen(product: Product, data_map: DataMap) -> Foresight:
    with product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        return foresee(eraser, data_map, catalogue.read(eraser), what)


def places(foresight: Foresight) -> dict[str, int]:
    return {f"{one.table}.{one.column}": one.rows for one in foresight.uncovered}


def test_what_is_foreseen_is_what_is_left(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        superuser.execute("ALTER MATERIALIZED VIEW directory OWNER TO ops_eraser")
        superuser.commit()
    data_map = map_of(tmp_path, MAP)
    before = bare_product.digest()
    seen = places(foreseen(bare_product, data_map))
    assert bare_product.digest() == before
    with bare_product.eraser() as eraser:
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        row_erasure.erase(eraser, data_map, known, what)
        left = row_erasure.residue(eraser, data_map, known, what)
        # Kept through rows that are gone by now: the journal says how many.
        again = places(foresee(eraser, data_map, known, what))
    found = {f"{one.table}.{one.column}": one.rows for one in left}
    assert seen == found == again == {place: rows for place, rows in LEFT.items() if rows}


PROPOSED = {
    "CREATE TABLE more (id int PRIMARY KEY, mail text); INSERT INTO more VALUES (1, 'Anna@Example.org')": (
        "more.mail",
        "tables.more.rows: [{role: mentioned, mentions: [mail], erase: redact, export: none}]",
    ),
    "CREATE TABLE more (id int PRIMARY KEY, mail text); INSERT INTO more VALUES (1, 'anna@example.org')": (
        "more.mail",
        "tables.more.rows: [{role: mail, column: mail, holds: email, erase: delete, export: own}]",
    ),
    "CREATE TABLE more (id int PRIMARY KEY, mails text[]);"
    "INSERT INTO more VALUES (1, '{anna@example.org}')": (
        "more.mails",
        "tables.more.rows: [{role: mails, array: mails, holds: email, erase: delete, export: own}]",
    ),
    "CREATE TABLE more (id int PRIMARY KEY, user_id int REFERENCES users, t text);"
    "INSERT INTO more VALUES (1, 1, 'by anna@example.org')": (
        "more.t",
        "tables.more.rows: [{role: user, column: user_id, erase: delete, export: own}]",
    ),
    "CREATE TABLE more (id int PRIMARY KEY, account int REFERENCES accounts, t text);"
    "INSERT INTO more VALUES (1, 7, 'by anna@example.org')": (
        "more.t",
        "tables.more.rows: [{role: account, column: account, through: accounts, to: number, erase: delete, "
        "export: own}]",
    ),
    "CREATE TABLE more (id int PRIMARY KEY, user_id int REFERENCES users, t text);"
    "INSERT INTO more VALUES (1, 2, 'to anna@example.org')": (
        "more.t",
        "tables.more.rows: [{role: mentioned, mentions: [t], erase: redact, export: none}]",
    ),
    # What cannot be replaced, and what is a key, is not proposed to be.
    "CREATE TABLE more (id int PRIMARY KEY, t text);"
    "INSERT INTO more VALUES (1, encode('to anna@example.org', 'base64'))": (
        "more.t",
        "accepted: [{place: more.t, because: 'TODO, why may it stay'}]",
    ),
    "CREATE TABLE more (t text PRIMARY KEY); INSERT INTO more VALUES ('to anna@example.org')": (
        "more.t",
        "accepted: [{place: more.t, because: 'TODO, why may it stay'}]",
    ),
    "INSERT INTO logs VALUES (1, 1, NULL, 'x', 'from anna@example.org')": (
        "logs.extra",
        "tables.logs.rows, role actor: anonymise: {extra: null} as well",
    ),
}
SMALL = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE TABLE accounts (number int PRIMARY KEY, user_id int REFERENCES users);
CREATE TABLE logs (id int PRIMARY KEY, actor int, target int, message text, extra text);
INSERT INTO users VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
INSERT INTO accounts VALUES (7, 1);
"""
SMALL_MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], rows: [{role: account, column: id, erase: delete}]}
  accounts: {plain: [number], rows: [{role: owner, column: user_id, erase: delete}]}
  logs:
    plain: [id, target, extra]
    personal: [message]
    rows: [{role: actor, column: actor, erase: {anonymise: {actor: null, message: null}}}]
  more: {plain: []}
"""


def test_each_hit_is_named_with_a_rule_that_covers_it(bare_product: Product, tmp_path: Path) -> None:
    data_map = map_of(tmp_path, SMALL_MAP)
    for rows, (place, rule) in PROPOSED.items():
        with bare_product.owner() as owner:
            owner.execute("DROP TABLE IF EXISTS more, accounts, logs, users;" + SMALL + rows)
        with bare_product.eraser() as eraser:
            found = outlook_of(eraser, data_map, "1")
        assert found is not None
        assert [(f"{one.table}.{one.column}", one.rows, one.rule) for one in found.uncovered] == [
            (place, 1, rule)
        ], rows


def test_what_the_map_accepts_is_told_apart(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        owner.execute(
            SMALL + "CREATE TABLE more (id int, t text); INSERT INTO more VALUES "
            "(1, 'anna@example.org'), (2, 'ben@example.org'), (3, 'to ben@example.org')"
        )
    accepted = "accepted: [{place: public.more.t, because: Minutes.}]\n"
    data_map = map_of(tmp_path, SMALL_MAP.replace("more: {plain: []}", "more: {plain: [id, t]}") + accepted)
    with bare_product.eraser() as eraser:
        # All in one pass, and each for themselves.
        database = OpenDatabase(data_map, eraser, catalogue.read(eraser))
        found, nobody, ben = of_keys([database], ["1", "3", "2"])
        with eraser.transaction():
            codes = {one.code for one in map_check.check(eraser, data_map)}
    assert nobody is None
    assert found is not None
    assert ben is not None
    assert (found.uncovered, ben.uncovered) == ((), ())
    assert [(one.place, one.rows) for one in ben.accepted] == [("more.t", 2)]
    assert [(one.place, one.because, one.rows) for one in found.accepted] == [("more.t", "Minutes.", 1)]
    assert "accepted-and-erased" not in codes


def test_a_refusal_looks_for_rules_of_the_places_that_it_names(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        names = [f"c{number}" for number in range(12)]
        columns = ", ".join(f"{name} text" for name in names)
        owner.execute(SMALL + f"CREATE TABLE more ({columns})")
        owner.execute(f"INSERT INTO more VALUES ({', '.join(['%s'] * 12)})", [f"to {ANNA}"] * 12)
    data_map = map_of(tmp_path, SMALL_MAP)
    seen = foreseen(bare_product, data_map)
    assert [bool(place.rule) for place in seen.uncovered] == [True] * 10 + [False] * 2
    with pytest.raises(CheckFailed, match=r"more\.c9 .* and 2 more places"):
        seen.refuse()
