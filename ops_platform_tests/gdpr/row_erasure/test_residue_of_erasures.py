"""What an erasure calls residue: everything that still names the subject and is not kept by law."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.gdpr.erasing import CUTOFF, Product, erasing, left, map_of

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE TABLE accounts (number int PRIMARY KEY, user_id int REFERENCES users);
CREATE TABLE bookings (id int PRIMARY KEY, account int, memo text);
CREATE INDEX ON accounts (user_id); CREATE INDEX ON bookings (account);
INSERT INTO users VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
INSERT INTO accounts VALUES (7, 1), (8, 2);
INSERT INTO bookings VALUES (1, 7, 'rent'), (2, 7, 'from anna@example.org'), (3, 8, 'to anna@example.org');
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], rows: [{role: account, column: id, erase: delete}]}
  accounts: {plain: [number], rows: [{role: owner, column: user_id, erase: delete}]}
  bookings:
    plain: [id]
    personal: [memo]
    rows:
      - {role: o, column: account, through: accounts, to: number, erase: {keep: {basis: law, term: 1 y}}}
      - {role: p, column: account, through: accounts, to: number, erase: {keep: {basis: law, term: 2 y}}}
"""


def test_a_kept_row_that_names_nobody_makes_up_for_no_row_that_does(
    bare_product: Product, tmp_path: Path
) -> None:
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
    data_map = map_of(tmp_path, MAP)
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert left(eraser, data_map, what) == ([], ["bookings.memo"])
        eraser.execute("UPDATE bookings SET memo = 'rent' WHERE id = 3")
        assert left(eraser, data_map, what) == ([], [])


def test_rows_kept_through_others_may_not_be_deleted_in_another_role(
    bare_product: Product, tmp_path: Path
) -> None:
    """Once the rows that say whose they are have gone, nothing would say that they are kept."""
    another = "      - {role: q, column: memo, holds: email, erase: delete}\n"
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
        with owner.transaction():
            kept, both = (map_check.check(owner, map_of(tmp_path, text)) for text in (MAP, MAP + another))
    assert "kept-and-deleted" not in {one.code for one in kept}
    assert [one.where for one in both if one.code == "kept-and-deleted"] == ["bookings (o)", "bookings (p)"]


def test_a_policy_hides_nothing_from_the_scan(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        owner.execute(
            SCHEMA + "CREATE TABLE hidden (memo text); INSERT INTO hidden VALUES ('anna@example.org');"
            "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        )
    data_map = map_of(tmp_path, MAP + "  hidden: {plain: [memo]}\n")
    what = RowErasure("one", Identity({"id": 1, "email": "anna@example.org"}), CUTOFF)
    with postgres.session(
        bare_product.cluster.url("product_owner", bare_product.name), autocommit=True
    ) as owner:
        known = catalogue.read(owner)
        with pytest.raises(ConfigurationError, match="hidden"):
            row_erasure.residue(owner, data_map, known, what)
