"""Erasure in databases that are harder than the demo: each states what must be left, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

SUBJECT = "subject: {kind: user, table: users, key: id, email: email, stand_in: %s}\n"
USERS = """
CREATE TABLE users (id int PRIMARY KEY, email text);
INSERT INTO users VALUES (1, 'anna@example.org'), (2, 'ben@example.org'), (3, NULL);
"""
ACCOUNT = "  users: {personal: [email], rows: [{role: account, column: id, erase: delete}]}\n"


@dataclass(frozen=True)
class Case:
    """User 1 is erased with ``map``; then ``left`` are what its queries answer."""

    schema: str
    map: str
    left: dict[str, list[tuple[object, ...]]]
    stand_in: str = "{}"


CASES = {
    "row-level security": Case(
        """
        CREATE TABLE notes (id int PRIMARY KEY, user_id int REFERENCES users, text text);
        CREATE INDEX ON notes (user_id);
        INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, 'c');
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
        ALTER TABLE notes FORCE ROW LEVEL SECURITY;
        """,
        "  notes: {personal: [text], plain: [id], rows: [{role: writer, column: user_id, erase: delete}]}",
        {"SELECT id FROM notes": [(2,), (3,)]},
    ),
    "generated and identity columns": Case(
        """
        CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int, text text,
                            length int GENERATED ALWAYS AS (length(text)) STORED);
        CREATE INDEX ON notes (user_id);
        INSERT INTO notes (user_id, text) VALUES (1, 'abc'), (2, 'de');
        """,
        """
  notes:
    personal: [text]
    plain: [id, length]
    rows: [{role: writer, column: user_id, erase: {anonymise: {user_id: null, text: {value: "-"}}}}]
        """,
        {"SELECT * FROM notes": [(1, None, "-", 1), (2, 2, "de", 2)]},
    ),
    "partitions of partitions": Case(
        """
        CREATE TABLE logs (at date, user_id int, text text, PRIMARY KEY (at, user_id))
            PARTITION BY RANGE (at);
        CREATE INDEX ON logs (user_id);
        CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')
            PARTITION BY LIST (user_id);
        CREATE TABLE logs_1_1 PARTITION OF logs_1 FOR VALUES IN (1);
        CREATE TABLE logs_1_x PARTITION OF logs_1 DEFAULT;
        CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        INSERT INTO logs SELECT '2026-01-01'::date + d, u, 'x' FROM generate_series(0, 57) d,
            generate_series(1, 2) u;
        """,
        "  logs: {personal: [text], plain: [at], rows: [{role: user, column: user_id, erase: delete}]}",
        {"SELECT user_id, count(*) FROM logs GROUP BY 1": [(2, 58)]},
    ),
    "rows that move to another partition": Case(
        """
        CREATE TABLE logs (id int, user_id int, text text) PARTITION BY LIST (user_id);
        CREATE INDEX ON logs (user_id);
        CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1);
        CREATE TABLE logs_2 PARTITION OF logs FOR VALUES IN (2);
        CREATE TABLE logs_nobody PARTITION OF logs FOR VALUES IN (NULL);
        INSERT INTO logs SELECT n, n % 2 + 1, 'x' FROM generate_series(1, 50) n;
        """,
        """
  logs:
    plain: [id]
    personal: [text]
    rows: [{role: user, column: user_id, erase: {anonymise: {user_id: null}}}]
        """,
        {"SELECT user_id, count(*) FROM logs GROUP BY 1": [(2, 25), (None, 25)]},
    ),
    "inheritance": Case(
        """
        CREATE TABLE letters (id int PRIMARY KEY, user_id int);
        CREATE TABLE special_letters (secret text, PRIMARY KEY (id)) INHERITS (letters);
        CREATE INDEX ON letters (user_id);
        CREATE INDEX ON special_letters (user_id);
        INSERT INTO letters VALUES (1, 1), (2, 2);
        INSERT INTO special_letters VALUES (3, 1, 'anna@example.org'), (4, 2, 'x');
        """,
        """
  letters: {plain: [id], rows: [{role: writer, column: user_id, erase: delete}]}
  special_letters: {plain: [id], personal: [secret], rows: [{role: writer, column: user_id, erase: delete}]}
        """,
        {"SELECT id FROM letters": [(2,), (4,)]},
    ),
    "an inherited table's own columns are watched": Case(
        """
        CREATE TABLE letters (id int PRIMARY KEY, user_id int);
        CREATE TABLE special_letters (secret text, PRIMARY KEY (id)) INHERITS (letters);
        CREATE INDEX ON letters (user_id);
        CREATE INDEX ON special_letters (user_id);
        INSERT INTO special_letters VALUES (3, 1, 'kept'), (4, 2, 'x');
        """,
        """
  letters: {plain: [id], rows: [{role: writer, column: user_id, erase: {anonymise: {user_id: null}}}]}
  special_letters:
    plain: [id, secret]
    rows: [{role: writer, column: user_id, erase: {anonymise: {user_id: null}}}]
        """,
        {"SELECT * FROM special_letters": [(3, None, "kept"), (4, 2, "x")]},
    ),
    "odd names": Case(
        """
        CREATE SCHEMA "Odd %s Schema";
        CREATE TABLE "Odd %s Schema"."Ta""b.le %" (t int PRIMARY KEY, r int, "a%s" text, "select" jsonb,
                                                   "p" int[], "{x}" text);
        CREATE INDEX ON "Odd %s Schema"."Ta""b.le %" (r);
        CREATE INDEX ON "Odd %s Schema"."Ta""b.le %" USING gin ("select" jsonb_path_ops);
        CREATE INDEX ON "Odd %s Schema"."Ta""b.le %" USING gin ("p");
        INSERT INTO "Odd %s Schema"."Ta""b.le %" VALUES
            (1, 1, '100%', '{"%s": [{"a b": 1}]}', '{1,2}', '{}'),
            (2, 2, '100%', '{"%s": [{"a b": 1, "c": "%d"}, {"a b": 2, "c": "%(x)s"}]}', '{2,1,3,1}', '%');
        """,
        """
  '"Odd %s Schema"."Ta""b.le %"':
    plain: [t, a%s, "{x}"]
    documents: {select: {'"%s"[*].c': plain}}
    rows:
      - {role: writer, column: r, erase: delete}
      - {role: 100% other, json: select, path: '"%s"[*]."a b"', erase: remove}
      - {role: third, array: p, erase: remove}
        """,
        {
            'SELECT t, "a%s", "select", "p", "{x}" FROM "Odd %s Schema"."Ta""b.le %"': [
                (2, "100%", {"%s": [{"c": "%(x)s", "a b": 2}]}, [2, 3], "%")
            ]
        },
    ),
    "composite keys": Case(
        """
        CREATE TABLE boards (user_id int REFERENCES users, number int, PRIMARY KEY (user_id, number));
        CREATE TABLE cards (user_id int, number int, place int, PRIMARY KEY (place, user_id, number),
                            FOREIGN KEY (user_id, number) REFERENCES boards);
        CREATE INDEX ON cards (user_id, number);
        INSERT INTO boards VALUES (1, 1), (1, 2), (2, 1);
        INSERT INTO cards VALUES (1, 1, 7), (1, 2, 7), (2, 1, 7);
        """,
        """
  boards: {plain: [number], rows: [{role: owner, column: user_id, erase: delete}]}
  cards: {plain: [number, place], rows: [{role: owner, column: user_id, erase: delete}]}
        """,
        {"SELECT * FROM cards": [(2, 1, 7)], "SELECT * FROM boards": [(2, 1)]},
    ),
    "no key, rows alike": Case(
        """
        CREATE TABLE clicks (user_id int, text text);
        CREATE INDEX ON clicks (user_id);
        INSERT INTO clicks SELECT n % 3, 'x' FROM generate_series(1, 300) n;
        INSERT INTO clicks VALUES (NULL, 'x'), (NULL, NULL);
        """,
        "  clicks: {personal: [text], rows: [{role: user, column: user_id, erase: delete}]}",
        {"SELECT user_id, count(*) FROM clicks GROUP BY 1": [(0, 100), (2, 100), (None, 2)]},
    ),
    "a circle that only deferring opens": Case(
        """
        CREATE TABLE teams (id int PRIMARY KEY, owner int NOT NULL REFERENCES users, first int NOT NULL);
        CREATE TABLE members (id int PRIMARY KEY, team int NOT NULL REFERENCES teams,
                              user_id int REFERENCES users);
        ALTER TABLE teams ADD FOREIGN KEY (first) REFERENCES members DEFERRABLE;
        CREATE INDEX ON teams (owner); CREATE INDEX ON teams (first);
        CREATE INDEX ON members (team); CREATE INDEX ON members (user_id);
        BEGIN; SET CONSTRAINTS ALL DEFERRED;
        INSERT INTO teams VALUES (1, 1, 1), (2, 2, 3);
        INSERT INTO members VALUES (1, 1, 1), (2, 1, 1), (3, 2, 2);
        COMMIT;
        """,
        """
  teams: {plain: [id, first], rows: [{role: owner, column: owner, erase: delete}]}
  members: {plain: [id, team], rows: [{role: member, column: user_id, erase: delete}]}
        """,
        {"SELECT id FROM teams": [(2,)], "SELECT id FROM members": [(3,)]},
    ),
    "threads that others have answered": Case(
        """
        ALTER TABLE users ADD name varchar(8);
        ALTER TABLE users ALTER id ADD GENERATED ALWAYS AS IDENTITY (START WITH 100);
        CREATE TABLE answers (id int PRIMARY KEY, writer int NOT NULL REFERENCES users,
                              above int REFERENCES answers, text text);
        CREATE INDEX ON answers (writer); CREATE INDEX ON answers (above);
        -- 1 <- 2 <- 3 are hers, 4 <- 5 <- 6: the second answer is somebody else's.
        INSERT INTO answers VALUES (1, 1, NULL, 'a'), (2, 1, 1, 'b'), (3, 1, 2, 'c'),
                                   (4, 1, NULL, 'd'), (5, 2, 4, 'e'), (6, 1, 5, 'f');
        """,
        """
  answers:
    plain: [id, above]
    personal: [text]
    rows: [{role: writer, column: writer, erase: {delete_unless_referenced: {writer: stand_in, text: null}}}]
        """,
        {
            "SELECT * FROM answers": [(4, 100, None, None), (5, 2, 4, "e")],
            "SELECT id, email, length(name) FROM users": [
                (2, "ben@example.org", None),
                (3, None, None),
                (100, None, 8),
            ],
        },
        "{name: pseudonym}",
    ),
    "documents within documents": Case(
        """
        CREATE TABLE plans (id int PRIMARY KEY, old json, doc jsonb);
        CREATE INDEX ON plans USING gin ((old::jsonb) jsonb_path_ops);
        CREATE INDEX ON plans USING gin (doc jsonb_path_ops);
        INSERT INTO plans VALUES
            (1, '{"who": "anna@example.org", "b": 1}',
             '{"groups": [{"members": [{"id": 1, "x": 1}, {"id": 2}]}, {"members": [{"id": "1"}]},
                          {"members": 1}, 1, {"members": {"id": 1}}]}'),
            (2, '{"who": "ben@example.org"}',
             '{"groups": [{"members": [{"id": 11}, {"id": [1]}, {"id": null}]}]}'),
            (3, NULL, '{"groups": {"members": [{"id": 1}]}}'),
            (4, '[]', '[1]');
        """,
        """
  plans:
    plain: [id]
    documents: {old: {b: plain}, doc: {"groups[*]": plain, "[*]": plain, groups: plain}}
    rows:
      - {role: old, json: old, path: who, holds: email, erase: remove}
      - {role: member, json: doc, path: "groups[*].members[*].id", erase: remove}
        """,
        {
            "SELECT id, old::jsonb, doc FROM plans": [
                (
                    1,
                    {"b": 1},
                    {
                        "groups": [
                            {"members": [{"id": 2}]},
                            {"members": []},
                            {"members": 1},
                            1,
                            {"members": {"id": 1}},
                        ]
                    },
                ),
                (
                    2,
                    {"who": "ben@example.org"},
                    {"groups": [{"members": [{"id": 11}, {"id": [1]}, {"id": None}]}]},
                ),
                (3, None, {"groups": {"members": [{"id": 1}]}}),
                (4, [], [1]),
            ]
        },
    ),
    "ten megabytes of document": Case(
        """
        CREATE TABLE plans (id int PRIMARY KEY, doc jsonb);
        CREATE INDEX ON plans USING gin (doc jsonb_path_ops);
        INSERT INTO plans SELECT 1, jsonb_build_object('who', jsonb_agg(n), 'text', repeat('x', 9000000))
        FROM generate_series(1, 100000) n;
        """,
        """
  plans:
    plain: [id]
    documents: {doc: {text: plain}}
    rows: [{role: named, json: doc, path: "who[*]", erase: remove}]
        """,
        {
            """SELECT jsonb_array_length(doc -> 'who'), doc -> 'who' -> 0, length(doc ->> 'text')
               FROM plans""": [(99999, 2, 9000000)]
        },
    ),
    "what is found by way of others and changed": Case(
        """
        CREATE DOMAIN words AS text;
        CREATE TABLE shops (id int PRIMARY KEY, owner int REFERENCES users);
        CREATE TABLE sales (id int PRIMARY KEY, shop int, note words, buyer uuid, extra xml);
        CREATE INDEX ON shops (owner); CREATE INDEX ON sales (shop);
        INSERT INTO shops VALUES (1, 1), (2, 2);
        INSERT INTO sales VALUES (1, 1, 'a', NULL, '<a/>'), (2, 2, 'b', NULL, '<a/>'),
                                 (3, NULL, 'c', NULL, NULL);
        """,
        """
  shops:
    plain: [id]
    rows: [{role: owner, column: owner, erase: {anonymise: {owner: null}}}]
  sales:
    plain: [id]
    personal: [note, buyer, extra]
    rows:
      - role: seller
        column: shop
        through: shops
        to: id
        erase: {anonymise: {note: {value: "-"}, buyer: pseudonym, extra: null}}
        """,
        {
            "SELECT id, note, buyer IS NOT NULL, extra::text FROM sales": [
                (1, "-", True, None),
                (2, "b", False, "<a/>"),
                (3, "c", False, None),
            ]
        },
    ),
    "declared triggers": Case(
        """
        CREATE TABLE words (word text, uses int);
        CREATE TABLE notes (id int PRIMARY KEY, user_id int, text text,
                            changed timestamptz DEFAULT '2020-01-01');
        CREATE INDEX ON notes (user_id);
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.changed = now(); UPDATE words SET uses = uses + 1; RETURN NEW; END $$;
        CREATE TRIGGER touches BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch();
        INSERT INTO words VALUES ('x', 0);
        INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b');
        """,
        """
  words: {plain: [word, uses]}
  notes:
    plain: [id, changed]
    personal: [text]
    triggers: {touches: Sets the time and counts words.}
    rows: [{role: writer, column: user_id, erase: {anonymise: {user_id: null, text: null}}}]
        """,
        {
            "SELECT id, user_id, text, changed > '2021-01-01' FROM notes": [
                (1, None, None, True),
                (2, 2, "b", False),
            ],
            "SELECT * FROM words": [("x", 1)],
        },
    ),
    "documents that are the name, and arrays that hold it": Case(
        """
        CREATE TABLE notes (id int PRIMARY KEY, said jsonb);
        CREATE INDEX ON notes (said);
        INSERT INTO notes VALUES (1, '"anna@example.org"'), (2, '"ben@example.org"'),
            (3, '["anna@example.org", "x"]'), (4, '{"a": 1}');
        """,
        """
  notes:
    plain: [id]
    documents: {said: {a: plain}}
    rows:
      - {role: who, json: said, path: $, holds: email, erase: remove}
      - {role: one of them, json: said, path: "[*]", holds: email, erase: remove}
        """,
        {
            "SELECT id, said::text FROM notes": [
                (1, "null"),
                (2, '"ben@example.org"'),
                (3, '["x"]'),
                (4, '{"a": 1}'),
            ]
        },
    ),
    "kept by law in one role and deleted in another": Case(
        """
        CREATE TABLE invoices (id int PRIMARY KEY, seller int, buyer int);
        CREATE INDEX ON invoices (seller); CREATE INDEX ON invoices (buyer);
        INSERT INTO invoices VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 1, NULL), (5, 2, 2);
        """,
        """
  invoices:
    plain: [id]
    rows:
      - {role: seller, column: seller, erase: delete}
      - {role: buyer, column: buyer, erase: {keep: {basis: law, term: 1 y}}}
        """,
        {"SELECT id FROM invoices": [(1,), (3,), (5,)]},
    ),
    "kept by law, found by way of what is gone": Case(
        """
        CREATE TABLE accounts (number int PRIMARY KEY, user_id int REFERENCES users);
        CREATE TABLE bookings (id int PRIMARY KEY, account int, memo text);
        CREATE TABLE invoices (id int PRIMARY KEY, email text);
        CREATE INDEX ON accounts (user_id); CREATE INDEX ON bookings (account);
        CREATE INDEX ON invoices (email);
        INSERT INTO accounts VALUES (7, 1), (8, 2);
        INSERT INTO bookings VALUES (1, 7, 'to anna@example.org'), (2, 8, 'x');
        INSERT INTO invoices VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
        """,
        """
  accounts: {plain: [number], rows: [{role: owner, column: user_id, erase: delete}]}
  bookings:
    plain: [id]
    personal: [memo]
    rows:
      - {role: o, column: account, through: accounts, to: number, erase: {keep: {basis: law, term: 1 y}}}
  invoices:
    plain: [id]
    rows: [{role: debtor, column: email, holds: email, erase: {keep: {basis: law, term: 1 y}}}]
        """,
        {"SELECT id FROM bookings": [(1,), (2,)], "SELECT id FROM accounts, users": [(2,), (3,)]},
    ),
}


def prepare(product: Product, schema: str) -> None:
    with product.owner() as owner:
        owner.execute(USERS + schema)


def ordered(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(rows, key=lambda row: tuple((one is None, str(one)) for one in row))


@pytest.mark.parametrize("batch", [1, 1000])
@pytest.mark.parametrize("name", CASES)
def test_rows_are_as_they_should_be(bare_product: Product, tmp_path: Path, name: str, batch: int) -> None:
    case = CASES[name]
    if batch == 1 and "megabytes" in name:
        batch = 2
    prepare(bare_product, case.schema)
    data_map = map_of(tmp_path, f"{SUBJECT % case.stand_in}tables:\n{ACCOUNT}{case.map}")
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        effects = row_erasure.erase(eraser, data_map, catalogue.read(eraser), what, batch=batch)
        assert left(eraser, data_map, what) == ([], [])
        for one in effects:
            if not one.action.startswith(("keep", "empty")):
                assert one.changed == one.before, one
    # As a superuser, from whom no policy hides rows.
    with bare_product.cluster.superuser(bare_product.name) as connection:
        for query, rows in case.left.items():
            answer = connection.execute(psycopg.sql.SQL(query)).fetchall()
            assert ordered(answer) == ordered(rows), query
        assert connection.execute("SELECT count(*) FROM users WHERE id IN (1, 2)").fetchone() == (1,)
