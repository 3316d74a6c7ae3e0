"""Rows that another person's resemble: the same id of another type, version or tenant, another address."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ops_platform.gdpr import map_check
from ops_platform.gdpr.export.rows import Rows
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure import preview
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

USERS = """
CREATE TABLE users (id int PRIMARY KEY, email text);
INSERT INTO users VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
"""
ACCOUNT = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], rows: [{role: account, column: id, erase: delete}]}
"""
MEMBERS = """
CREATE TABLE members (tenant int, id int, email text, PRIMARY KEY (tenant, id));
INSERT INTO members VALUES (1, 1, 'anna@example.org'), (1, 2, 'ben@example.org'), (2, 1, 'cleo@example.org');
"""
MEMBER = """
subject: {kind: member, table: members, key: [tenant, id], email: email%s}
tables:
  members: {personal: [email], rows: [{role: account, column: [tenant, id], erase: delete}]}
"""


@dataclass(frozen=True)
class Case:
    """Subject ``key`` is erased with ``map``; then ``left`` is what its query answers.

    ``loose``: texts of the map, and what takes more in their place; ``code``: how that is refused.
    """

    schema: str
    map: str
    left: dict[str, list[tuple[object, ...]]]
    loose: tuple[tuple[str, str], ...] = ()
    code: str = ""
    key: str = "1"


CASES = {
    "ids of several types": Case(
        USERS
        + """
        CREATE TABLE attachments (id int PRIMARY KEY, record_type varchar(8), record_id int, file text);
        CREATE INDEX ON attachments (record_type, record_id);
        CREATE INDEX ON attachments (record_id);
        INSERT INTO attachments VALUES (1, 'User', 1, 'a'), (2, 'Post', 1, 'b'), (3, 'User', 2, 'c');
        """,
        ACCOUNT
        + """
  attachments:
    personal: [file]
    plain: [id]
    rows: [{role: holder, column: record_id, where: {record_type: User}, erase: delete}]
        """,
        {"SELECT id FROM attachments": [(2,), (3,)]},
        (("where: {record_type: User}, ", ""), ("plain: [id]", "plain: [id, record_type]")),
        "type-pair",
    ),
    "constants, lists, null, and other ways": Case(
        USERS
        + """
        CREATE TYPE state AS ENUM ('draft', 'sent', 'gone');
        CREATE TABLE letters (id int PRIMARY KEY, by int, state state, deleted_at timestamptz, ok boolean,
                              readers int[], about jsonb);
        CREATE INDEX ON letters (by); CREATE INDEX ON letters USING gin (readers);
        CREATE INDEX ON letters USING gin (about jsonb_path_ops);
        CREATE TABLE pages (letter int, page int, PRIMARY KEY (letter, page));
        INSERT INTO letters VALUES (1, 1, 'draft', NULL, true, '{1,2}', '{"who": 1}'),
            (2, 1, 'gone', NULL, true, '{1,2}', '{"who": 1}'),
            (3, 1, 'sent', '2026-01-01', true, '{1}', '[]'),
            (4, 1, NULL, NULL, false, '{1}', '{"who": 1}'), (5, 1, 'sent', NULL, NULL, '{1}', '{}'),
            (6, 2, 'draft', NULL, true, '{1,3}', '{"who": 1}');
        INSERT INTO pages SELECT id, 1 FROM letters;
        """,
        ACCOUNT
        + """
  letters:
    plain: [id]
    documents: {about: {who: plain}}
    rows:
      - {role: sender, column: by, where: {state: [draft, sent, null], deleted_at: null}, erase: delete}
      - {role: reader, array: readers, where: {ok: true}, erase: remove}
      - {role: named, json: about, path: who, where: {state: [gone, draft]}, erase: remove}
  pages:
    rows:
      - role: writer
        column: letter
        through: letters
        to: id
        roles: [sender]
        where: {page: 1}
        erase: delete
        """,
        {
            "SELECT id, readers::text, about::text FROM letters": [
                (2, "{2}", "{}"),
                (3, "{}", "[]"),
                (6, "{3}", "{}"),
            ],
            "SELECT letter FROM pages": [(2,), (3,), (6,)],
        },
    ),
    "versions of several people": Case(
        USERS
        + """
        CREATE TABLE nodes (id int, version int, author int REFERENCES users, text text,
                            PRIMARY KEY (id, version));
        CREATE TABLE node_tags (node_id int, version int, tag text, PRIMARY KEY (node_id, version, tag),
                                FOREIGN KEY (node_id, version) REFERENCES nodes);
        CREATE TABLE node_views (node_id int, version int, n int PRIMARY KEY);
        CREATE INDEX ON nodes (author); CREATE INDEX ON node_views (node_id, version);
        INSERT INTO nodes VALUES (7, 1, 1, 'a'), (7, 2, 2, 'b'), (8, 1, 2, 'c');
        INSERT INTO node_tags VALUES (7, 1, 'x'), (7, 2, 'y'), (8, 1, 'z');
        INSERT INTO node_views VALUES (7, 1, 1), (7, 2, 2), (8, 1, 3);
        """,
        ACCOUNT
        + """
  nodes:
    personal: [text]
    plain: [id, version]
    rows: [{role: author, column: author, erase: delete}]
  node_tags:
    plain: [tag]
    rows: [{role: author, column: [node_id, version], through: nodes, to: [id, version], erase: delete}]
  node_views:
    plain: [n]
    rows: [{role: author, column: [node_id, version], through: nodes, to: [id, version], erase: delete}]
        """,
        {
            "SELECT node_id, version FROM node_tags": [(7, 2), (8, 1)],
            "SELECT node_id, version FROM node_views": [(7, 2), (8, 1)],
        },
        (
            (
                "column: [node_id, version], through: nodes, to: [id, version]",
                "column: node_id, through: nodes, to: id",
            ),
            ("plain: [tag]", "plain: [tag, version]"),
            ("plain: [n]", "plain: [n, version]"),
        ),
        "key-in-part",
    ),
    "keys of several columns": Case(
        MEMBERS
        + """
        CREATE TABLE orders (id int PRIMARY KEY, tenant int, member int, helper int, note text,
                             FOREIGN KEY (tenant, member) REFERENCES members,
                             FOREIGN KEY (tenant, helper) REFERENCES members);
        CREATE INDEX ON orders (tenant, member); CREATE INDEX ON orders (tenant, helper);
        CREATE TABLE lines (tenant int, order_no int, line int, PRIMARY KEY (tenant, order_no, line));
        INSERT INTO orders VALUES (1, 1, 1, 2, 'a'), (2, 1, 2, 1, 'b'), (3, 2, 1, 1, 'c'),
                                  (4, 1, 2, NULL, 'd');
        CREATE INDEX ON lines (order_no);
        INSERT INTO lines SELECT tenant, id, 1 FROM orders;
        """,
        (MEMBER % "")
        + """
  orders:
    personal: [note]
    plain: [id]
    rows:
      # Whoever helps loses the order with its buyer.
      - {role: buyer, column: [tenant, member], erase: delete, shared: delete}
      - {role: helper, column: [helper, tenant], holds: [id, tenant], erase: {anonymise: {helper: null}}}
  lines:
    plain: [line, tenant]
    rows:
      - {role: buyer, column: order_no, through: orders, to: id, roles: [buyer], erase: delete}
        """,
        {
            "SELECT * FROM orders": [(2, 1, 2, None, "b"), (3, 2, 1, 1, "c"), (4, 1, 2, None, "d")],
            "SELECT order_no FROM lines": [(2,), (3,), (4,)],
            "SELECT tenant, id FROM members": [(1, 2), (2, 1)],
        },
        key='["1", 1]',
    ),
    "keys beside a tenant": Case(
        """
        CREATE TABLE users (id int PRIMARY KEY, tenant int NOT NULL, email text, handle text,
                            UNIQUE (tenant, handle));
        INSERT INTO users VALUES (1, 1, 'anna@example.org', 'annahandle'),
                                 (2, 1, 'ben@example.org', 'benhandle'),
                                 (3, 2, 'cleo@example.org', 'annahandle');
        CREATE TABLE words (id int PRIMARY KEY, tenant int, handle text);
        CREATE INDEX ON words (handle);
        INSERT INTO words VALUES (1, 1, 'annahandle'), (2, 2, 'annahandle'), (3, 1, 'benhandle');
        """,
        """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email, handle], plain: [tenant], rows: [{role: account, column: id, erase: delete}]}
  words:
    plain: [id]
    rows: [{role: named, column: [tenant, handle], holds: [tenant, handle], erase: delete}]
        """,
        {"SELECT id FROM words": [(2,), (3,)]},
    ),
    "a numeric key": Case(
        """
        CREATE TABLE users (id numeric(20, 0) PRIMARY KEY, email text);
        INSERT INTO users VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
        CREATE TABLE letters (id int PRIMARY KEY, meta jsonb, readers jsonb);
        CREATE INDEX ON letters USING gin (meta jsonb_path_ops);
        CREATE INDEX ON letters USING gin (readers jsonb_path_ops);
        INSERT INTO letters VALUES (1, '{"by": 1}', '[2]'), (2, '{"by": "1"}', '[2]'),
                                   (3, '{"by": 2}', '[1, 2, "1", 1.0]'), (4, '{"by": 1.5}', '[11]');
        """,
        ACCOUNT
        + """
  letters:
    plain: [id]
    documents: {meta: {by: personal}, readers: {"[*]": personal}}
    rows:
      - {role: sender, json: meta, path: by, erase: delete}
      - {role: reader, json: readers, path: "[*]", erase: remove}
        """,
        {"SELECT id, readers::text FROM letters": [(3, "[2]"), (4, "[11]")]},
    ),
    "several addresses": Case(
        USERS
        + """
        CREATE TABLE user_emails (user_id int REFERENCES users, address text PRIMARY KEY, kind text);
        CREATE TABLE tickets (id int PRIMARY KEY, sender text, copies text[], head jsonb);
        CREATE INDEX ON user_emails (user_id); CREATE INDEX ON tickets (sender);
        CREATE INDEX ON tickets USING gin (copies); CREATE INDEX ON tickets USING gin (head jsonb_path_ops);
        INSERT INTO user_emails VALUES (1, 'anna@work.example', 'work'), (1, 'anna@home.example', 'home'),
                                       (2, 'ben@home.example', 'home'), (1, 'desk@work.example', 'desk');
        INSERT INTO tickets VALUES (1, 'anna@work.example', '{ben@home.example,anna@home.example}', '{}'),
            (2, 'ben@home.example', '{anna@home.example,anna@work.example,ben@home.example}',
             '{"to": [{"a": "anna@home.example"}, {"a": "ben@home.example"}, {"a": "anna@work.example"}]}'),
            (3, 'desk@work.example', '{}', '{}'), (4, NULL, NULL, NULL);
        """,
        ACCOUNT.replace("email: email}", "email: email, known_by: [{table: user_emails, column: address}]}")
        + """
  user_emails:
    personal: [kind, address]
    rows: [{role: owner, column: user_id, erase: delete}]
  tickets:
    plain: [id]
    documents: {head: {"to[*].a": personal}}
    rows:
      - {role: sender, column: sender, holds: user_emails.address, erase: delete}
      - {role: copied, array: copies, holds: user_emails.address, erase: remove}
      - {role: addressed, json: head, path: "to[*].a", holds: user_emails.address, erase: remove}
        """,
        {
            "SELECT id, sender, copies::text, head::text FROM tickets": [
                (2, "ben@home.example", "{ben@home.example}", '{"to": [{"a": "ben@home.example"}]}'),
                (4, None, None, None),
            ],
            "SELECT address FROM user_emails": [("ben@home.example",)],
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_only_the_persons_rows_go(bare_product: Product, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    with bare_product.owner() as owner:
        owner.execute(psycopg.sql.SQL(case.schema))
    data_map = map_of(tmp_path, case.map)
    with bare_product.eraser() as eraser:
        assert map_check.check(eraser, data_map) == []
        if case.loose:
            text = case.map
            for exact, loose in case.loose:
                assert exact in text
                text = text.replace(exact, loose)
            assert case.code in {one.code for one in map_check.check(eraser, map_of(tmp_path, text))}
        what, known = erasing(eraser, data_map, case.key), catalogue.read(eraser)
        counted = {
            (one.table, one.role): one.rows for one in preview.preview(eraser, data_map, known, what.identity)
        }
        effects = row_erasure.erase(eraser, data_map, known, what)
        # A row in several roles is counted in each, and changed as long as it is there.
        assert all(0 < one.changed <= counted[one.place, one.role] for one in effects)
        assert left(eraser, data_map, what) == ([], [])
        for query, rows in case.left.items():
            answer = [tuple(row.values()) for row in eraser.execute(psycopg.sql.SQL(query))]
            assert sorted(answer, key=str) == sorted(rows, key=str), query


def test_an_export_shows_ids_of_other_kinds_and_hides_other_people(
    bare_product: Product, tmp_path: Path
) -> None:
    with bare_product.owner() as owner:
        owner.execute(USERS)
        owner.execute(
            """
            CREATE TABLE files (id int PRIMARY KEY, uploader int REFERENCES users, kind text, record int);
            CREATE INDEX ON files (uploader); CREATE INDEX ON files (kind, record);
            INSERT INTO files VALUES (1, 1, 'User', 1), (2, 1, 'Post', 2), (3, 1, 'User', 2),
                                     (4, 2, 'User', 1), (5, 2, 'Post', 1);
            """
        )
    data_map = map_of(
        tmp_path,
        ACCOUNT
        + """
  files:
    plain: [id]
    rows:
      - {role: uploader, column: uploader, erase: delete, export: own}
      - {role: record, column: record, where: {kind: User}, erase: delete, export: [id]}
        """,
    )
    with bare_product.eraser() as eraser:
        known = catalogue.read(eraser)
        identity = row_predicates.identity(eraser, data_map, known, "1")
        assert identity is not None
        shown = {}
        with eraser.transaction():
            for table, role in data_map.belongings():
                blocks = Rows(data_map, known, identity, "salt").blocks(eraser, table, role)
                lines = [line for block in blocks for line in block.lines.splitlines()]
                shown[role.role] = [json.loads(line) for line in lines]
    records = {row["id"]: row["record"] for row in shown["uploader"]}
    assert (records[1], records[2]) == (1, 2)
    assert str(records[3]).startswith("person-")
    assert sorted(row["id"] for row in shown["record"]) == [1, 4]


def test_a_stand_in_of_the_same_tenant(bare_product: Product, tmp_path: Path) -> None:
    """Of a key of several columns: what others need stays, of somebody who is nobody there."""
    rows = """
      - {role: author, column: [tenant, author], erase: delete, shared: stand_in}
      - {role: about, column: [tenant, about], erase: delete, shared: stand_in}
    """
    data_map = map_of(
        tmp_path,
        f"""
subject: {{kind: member, table: members, key: [tenant, id], email: email}}
tables:
  members: {{personal: [email], rows: [{{role: account, column: [tenant, id], erase: delete}}]}}
  notes:
    plain: [id]
    rows: {rows}
""",
    )
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(
            """
            CREATE TABLE members (tenant int, id int GENERATED BY DEFAULT AS IDENTITY (START 50), email text,
                                  PRIMARY KEY (tenant, id));
            CREATE TABLE notes (id int PRIMARY KEY, tenant int, author int, about int,
                                FOREIGN KEY (tenant, author) REFERENCES members,
                                FOREIGN KEY (tenant, about) REFERENCES members);
            CREATE INDEX ON notes (tenant, author);
            CREATE INDEX ON notes (tenant, about);
            INSERT INTO members VALUES (1, 1, 'anna@x.example'), (1, 2, 'ben@x.example'), (2, 1, 'c@x.ex');
            INSERT INTO notes VALUES (1, 1, 1, 2), (2, 1, 2, 1), (3, 1, 1, 1), (4, 2, 1, 1);
            """
        )
        found = catalogue.read(connection)
        assert map_check.check(connection, data_map) == []
        row_erasure.erase(connection, data_map, found, erasing(connection, data_map, '["1","1"]'))
        notes = [tuple(row.values()) for row in owner.execute("SELECT * FROM notes ORDER BY id")]
        members = [tuple(row.values()) for row in owner.execute("SELECT * FROM members ORDER BY tenant, id")]
    assert notes == [(1, 1, 50, 2), (2, 1, 2, 50), (4, 2, 1, 1)]
    assert members == [(1, 2, "ben@x.example"), (1, 50, None), (2, 1, "c@x.ex")]
