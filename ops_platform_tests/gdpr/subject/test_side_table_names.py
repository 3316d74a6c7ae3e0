"""A second address that is free again and soon somebody else's, in a side table or as their first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import CUTOFF, Product, erasing, left, map_of

pytestmark = pytest.mark.services

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, tenant int, email text, handle text, created timestamptz,
                    UNIQUE (tenant, handle));
CREATE TABLE addresses (user_id int REFERENCES users, address text PRIMARY KEY, created timestamptz);
CREATE TABLE letters (id int PRIMARY KEY, sender text, created timestamptz);
CREATE TABLE words (id int PRIMARY KEY, tenant int, handle text, created timestamptz);
CREATE INDEX ON addresses (user_id); CREATE INDEX ON letters (sender); CREATE INDEX ON words (handle);
INSERT INTO users VALUES (1, 1, 'anna@first.example', 'anna', '2020-01-01'),
                         (2, 1, 'ben@first.example', 'ben', '2020-01-01');
INSERT INTO addresses VALUES (1, 'anna@second.example', '2020-01-01'),
                             (1, 'anna@third.example', '2020-01-01');
INSERT INTO letters VALUES (1, 'anna@second.example', '2020-01-01'), (2, 'anna@third.example', '2020-01-01');
INSERT INTO words VALUES (1, 1, 'anna', '2020-01-01'), (2, 2, 'anna', '2020-01-01');
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email, known_by: [{table: addresses, column: address}]}
tables:
  users:
    personal: [email, handle]
    plain: [tenant, created]
    created: created
    rows: [{role: account, column: id, erase: delete}]
  addresses:
    personal: [address]
    plain: [created]
    created: created
    rows: [{role: owner, column: user_id, erase: delete}]
  letters:
    plain: [id, created]
    created: created
    rows: [{role: sender, column: sender, holds: addresses.address, erase: delete}]
  words:
    plain: [id, created]
    created: created
    rows: [{role: named, column: [tenant, handle], holds: [tenant, handle], erase: delete}]
"""
ANEW = {
    "as a second address": "INSERT INTO addresses VALUES (2, 'Anna@second.example', %(later)s)",
    "as the first": "INSERT INTO users VALUES (3, 1, 'anna@second.example', 'cleo', %(later)s)",
}


@pytest.mark.parametrize("how", ANEW)
def test_what_came_since_is_the_other_persons(bare_product: Product, tmp_path: Path, how: str) -> None:
    data_map, later = map_of(tmp_path, MAP), {"later": CUTOFF + timedelta(days=1)}
    with bare_product.owner() as owner, bare_product.eraser() as eraser:
        owner.execute(TABLES)
        what, known = erasing(eraser, data_map, "1"), catalogue.read(eraser)
        assert what.identity.of("addresses.address") == ("anna@second.example", "anna@third.example")
        # As after the first pass: what the key leads to is gone, and the names are free.
        owner.execute("DELETE FROM addresses WHERE user_id = 1")
        owner.execute("DELETE FROM users WHERE id = 1")
        owner.execute(psycopg.sql.SQL(ANEW[how]), later)
        owner.execute("UPDATE users SET handle = 'anna' WHERE id = 2")
        owner.execute("INSERT INTO letters VALUES (3, 'anna@second.example', %(later)s)", later)
        owner.execute("INSERT INTO letters VALUES (4, 'anna@third.example', %(later)s)", later)
        owner.execute("INSERT INTO words VALUES (3, 1, 'anna', %(later)s)", later)
        row_erasure.erase(eraser, data_map, known, what)
        assert [row["id"] for row in owner.execute("SELECT id FROM letters ORDER BY id")] == [3]
        assert [row["id"] for row in owner.execute("SELECT id FROM words ORDER BY id")] == [2, 3]
        hits = [] if how == "as a second address" else ["letters.sender"]
        assert left(eraser, data_map, what) == ([], hits)
