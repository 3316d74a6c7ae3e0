"""Yesterday's database comes back, and whoever was erased since is erased again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.after_restore import replay
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import inventory, product_inventory
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones.entry import Tombstone
from ops_platform.local.demo import people
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.gdpr.erasing import Product, Products, map_of
from ops_platform_tests.gdpr.other_stores import sealing_keys

pytestmark = pytest.mark.services

CUTOFF = datetime.now(UTC)
ERASED, OTHER = people.creator_id(1), people.creator_id(2)


@pytest.fixture(scope="module")
def products(demo_cluster: PostgresCluster) -> Products:
    return Products(demo_cluster)


@pytest.fixture
def restored(products: Products) -> Iterator[Product]:
    """The demo as it was before anybody was erased."""
    made = products.create("product")
    yield made
    products.drop(made)


def tombstone(subject: UUID, *, complete: bool = True) -> Tombstone:
    of = SubjectKey("product", "creator", str(subject), "uuid")
    return Tombstone(of, CUTOFF, "r1", "m1", bytes(32), CUTOFF if complete else None)


@dataclass(frozen=True)
class Seen:
    """What SQL by hand finds of a creator."""

    account: int
    posts: int
    by_address: int
    in_views: int


def seen(connection: Connection, subject: UUID, email: str) -> Seen:
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM creators WHERE id = %(id)s OR email = %(email)s) AS account,
               (SELECT count(*) FROM posts WHERE creator_id = %(id)s
                OR metadata::text LIKE '%%' || %(id)s || '%%') AS posts,
               (SELECT count(*) FROM audit_logs WHERE subject_email = %(email)s)
               + (SELECT count(*) FROM workflows WHERE %(email)s = ANY (watcher_emails)) AS by_address,
               (SELECT count(*) FROM creator_stats WHERE creator_id = %(id)s) AS in_views
        """,
        {"id": subject, "email": email},
    ).fetchone()
    assert row is not None
    return Seen(**row)


def email_of(connection: Connection, subject: UUID) -> str:
    row = connection.execute("SELECT email FROM creators WHERE id = %s", (subject,)).fetchone()
    assert row is not None
    return str(row["email"])


def test_who_was_erased_is_gone_again_and_nobody_else(restored: Product, demo_map: DataMap) -> None:
    with restored.eraser() as connection:
        email, other = email_of(connection, ERASED), email_of(connection, OTHER)
        before, others = seen(connection, ERASED, email), seen(connection, OTHER, other)
        assert before.account == 1
        assert before.posts > 0
        assert before.in_views == 1
        done = replay.replay(connection, demo_map, [tombstone(ERASED)])
        assert (done.tombstones, done.came_back) == (1, 1)
        assert sum(one.changed for one in done.effects) > 10
        assert seen(connection, ERASED, email) == Seen(0, 0, 0, 0)
        after = seen(connection, OTHER, other)
        assert (after.account, after.in_views) == (others.account, others.in_views)


def test_without_the_replay_the_subject_is_back(restored: Product, demo_map: DataMap) -> None:
    with restored.eraser() as connection:
        replay.replay(connection, demo_map, [])
        assert seen(connection, ERASED, email_of(connection, ERASED)).account == 1


def test_it_is_safe_to_repeat_and_says_that_nobody_came_back(restored: Product, demo_map: DataMap) -> None:
    with restored.eraser() as connection:
        replay.replay(connection, demo_map, [tombstone(ERASED)])
        digest = restored.digest()
        done = replay.replay(connection, demo_map, [tombstone(ERASED)])
        assert (done.tombstones, done.came_back, done.effects) == (1, 0, ())
        assert restored.digest() == digest
        notes = connection.execute("SELECT count(*) AS n FROM ops_platform.erasures").fetchone()
        assert notes is not None
        assert notes["n"] == 0, "no note leads from a pseudonym to a request"


def test_a_backup_from_the_middle_of_an_erasure_is_finished(restored: Product, demo_map: DataMap) -> None:
    with restored.eraser() as connection:
        email = email_of(connection, ERASED)
        # As the first erasure left it when the backup was made: the account gone, a row written late not.
        seen_before = catalogue.read(connection)
        who = subject_rows.identity(connection, demo_map, seen_before, str(ERASED))
        assert who is not None
        row_erasure.erase(connection, demo_map, seen_before, row_erasure.RowErasure("r1", who, CUTOFF))
        connection.execute(
            "INSERT INTO audit_logs (actor_id, occurred_at, action, message) "
            "SELECT %s, min(occurred_at), 'login', 'late' FROM audit_logs",
            (ERASED,),
        )
        done = replay.replay(connection, demo_map, [tombstone(ERASED)])
        assert done.came_back == 1
        assert seen(connection, ERASED, email).account == 0
        left = connection.execute("SELECT count(*) AS n FROM audit_logs WHERE actor_id = %s", (ERASED,))
        assert [row["n"] for row in left] == [0]


def test_what_is_replayed_of_an_unfinished_erasure_is_its_own(restored: Product, demo_map: DataMap) -> None:
    with restored.eraser() as connection:
        known = catalogue.read(connection)
        who = subject_rows.identity(connection, demo_map, known, str(ERASED))
        assert who is not None
        done = replay.replay(connection, demo_map, [tombstone(ERASED, complete=False)])
        assert done.came_back == 1
        resumed = row_erasure.erase(connection, demo_map, known, row_erasure.RowErasure("r1", who, CUTOFF))
        assert sum(one.changed for one in resumed) == sum(one.changed for one in done.effects) > 10
        assert Journal(connection, "r1").pseudonym() is not None, "what was anonymised stays one person's"


def test_who_registers_anew_with_the_same_address_stays(restored: Product, demo_map: DataMap) -> None:
    with restored.eraser() as connection:
        email = email_of(connection, ERASED)
        replay.replay(connection, demo_map, [tombstone(ERASED)])
    with restored.owner() as owner:
        owner.execute(
            "INSERT INTO creators (id, handle, email, full_name, country, created_at) "
            "VALUES (gen_random_uuid(), 'back.again', %s, 'Anna', 'FR', %s)",
            (email, CUTOFF + timedelta(days=1)),
        )
    with restored.eraser() as connection:
        assert replay.replay(connection, demo_map, [tombstone(ERASED)]).came_back == 0
        assert seen(connection, ERASED, email).account == 1


def test_somebody_who_never_was_there_is_no_error(restored: Product, demo_map: DataMap) -> None:
    nobody = UUID(int=7)
    with restored.eraser() as connection:
        assert replay.replay(connection, demo_map, [tombstone(nobody)]).came_back == 0


def test_an_older_schema_is_no_obstacle_and_an_unknown_column_is(
    restored: Product, demo_map: DataMap
) -> None:
    with restored.owner() as owner:
        owner.execute("DROP TABLE webhook_deliveries")
        owner.execute("ALTER TABLE profiles DROP COLUMN website")
    with restored.eraser() as connection:
        assert replay.replay(connection, demo_map, [tombstone(ERASED)]).came_back == 1
    with restored.owner() as owner:
        owner.execute("ALTER TABLE profiles ADD COLUMN nickname text")
    with restored.eraser() as connection, pytest.raises(CheckFailed, match=r"profiles.*nickname"):
        replay.replay(connection, demo_map, [tombstone(OTHER)])


CUSTOMERS = """
CREATE TABLE customer (id int PRIMARY KEY, email text);
CREATE TABLE ticket (id int PRIMARY KEY, email text);
CREATE INDEX ON ticket (email);
INSERT INTO customer VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
INSERT INTO ticket VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
"""
CUSTOMER_MAP = """
subject: {kind: customer, table: customer, key: id, email: email}
tables:
  customer: {personal: [email], rows: [{role: account, column: id, erase: delete}]}
  ticket: {plain: [id], rows: [{role: sender, column: email, holds: email, erase: delete}]}
"""


def customer_erased() -> Tombstone:
    of = SubjectKey("product", "customer", "1", "integer")
    return Tombstone(of, CUTOFF, "r1", "m1", bytes(32), CUTOFF)


@pytest.mark.parametrize("taken", [False, True])
def test_what_the_interrupted_erasure_knew_leads_to_what_it_had_not_erased_yet(
    bare_product: Product, tmp_path: Path, taken: bool
) -> None:
    """It had ended when the disaster came; the restored moment is in its middle: the customer is gone.

    ``taken``: somebody else had the address by then, and nothing says how old a ticket is.
    """
    keys, data_map = sealing_keys(), map_of(tmp_path, CUSTOMER_MAP)
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(CUSTOMERS)
        who = subject_rows.identity(connection, data_map, catalogue.read(connection), "1")
        assert who is not None
        known = replace(inventory.take(data_map, who), until=CUTOFF)
        product_inventory.keep(connection, keys, "r1", known)
        owner.execute("DELETE FROM customer WHERE id = 1")
        if taken:
            owner.execute("INSERT INTO customer VALUES (3, 'Anna@example.org')")
        done = replay.replay(connection, data_map, [customer_erased()], keys=keys)
        tickets = [row["id"] for row in owner.execute("SELECT id FROM ticket ORDER BY id")]
        assert (done.came_back, tickets) == ((0, [1, 2]) if taken else (1, [2]))
        assert connection.execute("SELECT FROM ops_platform.erasures").fetchall() == []


@pytest.mark.parametrize("taken", [False, True])
def test_a_replay_finds_what_the_erasure_found_where_the_product_had_deleted_the_account(
    bare_product: Product, tmp_path: Path, taken: bool
) -> None:
    """The erasure went by the address of the request; the restored moment is after the account, before it.

    ``taken``: somebody else had the address by then, and nothing says how old a ticket is.
    """
    keys, data_map = sealing_keys(), map_of(tmp_path, CUSTOMER_MAP)
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(CUSTOMERS)
        who = subject_rows.identity(connection, data_map, catalogue.read(connection), "1")
        assert who is not None
        owner.execute("DELETE FROM customer WHERE id = 1")
        if taken:
            owner.execute("INSERT INTO customer VALUES (3, 'Anna@example.org')")
        # The key alone leads to nothing.
        assert replay.replay(connection, data_map, [customer_erased()], keys=keys).came_back == 0
        known = replace(inventory.take(data_map, who), until=CUTOFF)
        tombstone = replace(customer_erased(), identity=inventory.write(known, keys, "r1"))
        done = replay.replay(connection, data_map, [tombstone], keys=keys)
        tickets = [row["id"] for row in owner.execute("SELECT id FROM ticket ORDER BY id")]
        assert (done.came_back, tickets) == ((0, [1, 2]) if taken else (1, [2]))
        assert connection.execute("SELECT FROM ops_platform.erasures").fetchall() == []
        with pytest.raises(ConfigurationError, match="OPS_GDPR_ENCRYPTION_KEY"):
            replay.replay(connection, data_map, [tombstone])


@pytest.mark.parametrize("taken", [False, True])
def test_a_replay_goes_by_names_that_the_subject_did_not_have_in_the_restored_moment(
    bare_product: Product, tmp_path: Path, taken: bool
) -> None:
    """They had the address, then another one, then the first again: the restored moment is in between."""
    keys, data_map = sealing_keys(), map_of(tmp_path, CUSTOMER_MAP)
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(CUSTOMERS)
        who = subject_rows.identity(connection, data_map, catalogue.read(connection), "1")
        assert who is not None
        known = replace(inventory.take(data_map, who), until=CUTOFF)
        owner.execute("UPDATE customer SET email = 'between@example.org' WHERE id = 1")
        owner.execute("INSERT INTO ticket SELECT 3, 'between@example.org'")
        if taken:
            # Whose the ticket is nobody can say by then.
            owner.execute("INSERT INTO customer VALUES (3, 'Anna@example.org')")
        tombstone = replace(customer_erased(), identity=inventory.write(known, keys, "r1"))
        assert replay.replay(connection, data_map, [tombstone], keys=keys).came_back == 1
        tickets = [row["id"] for row in owner.execute("SELECT id FROM ticket ORDER BY id")]
        assert tickets == ([1, 2] if taken else [2])


def test_a_name_beside_a_tenant_that_is_somebody_elses_by_the_restored_moment(
    bare_product: Product, tmp_path: Path
) -> None:
    data_map = map_of(
        tmp_path,
        """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email, handle], plain: [tenant], rows: [{role: account, column: id, erase: delete}]}
  words:
    plain: [id]
    rows: [{role: named, column: [tenant, handle], holds: [tenant, handle], erase: delete}]
""",
    )
    keys = sealing_keys()
    of = replace(customer_erased(), subject_key=SubjectKey("product", "user", "1", "integer"))
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(
            "CREATE TABLE users (id int PRIMARY KEY, tenant int, email text, handle text, "
            "UNIQUE (tenant, handle));"
            "CREATE TABLE words (id int PRIMARY KEY, tenant int, handle text);"
            "CREATE INDEX ON words (handle);"
            "INSERT INTO users VALUES (1, 1, 'anna@example.org', 'annahandle');"
            "INSERT INTO words VALUES (1, 1, 'annahandle'), (2, 2, 'annahandle');"
        )
        who = subject_rows.identity(connection, data_map, catalogue.read(connection), "1")
        assert who is not None
        for taken, words in ((3, [1, 2]), (None, [2])):
            product_inventory.keep(connection, keys, "r1", inventory.take(data_map, who))
            owner.execute("DELETE FROM users")
            if taken:
                owner.execute("INSERT INTO users VALUES (3, 1, 'cleo@example.org', 'annahandle')")
            replay.replay(connection, data_map, [of], keys=keys)
            assert [row["id"] for row in owner.execute("SELECT id FROM words ORDER BY id")] == words


def test_a_replay_names_the_rows_of_others_that_it_leaves(bare_product: Product, tmp_path: Path) -> None:
    text = CUSTOMER_MAP + "  page: {plain: [id], rows: [{role: named, mentions: [said], erase: redact}]}\n"
    data_map = map_of(
        tmp_path, text.replace("plain: [id], rows: [{role: n", "plain: [id, said], rows: [{role: n")
    )
    said: list[str] = []
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(CUSTOMERS)
        owner.execute(
            "CREATE TABLE page (id int PRIMARY KEY, said jsonb);"
            """INSERT INTO page VALUES (1, '{"anna@example.org": 1}'), (2, '["to anna@example.org"]')"""
        )
        done = replay.replay(connection, data_map, [customer_erased()], said.append, sealing_keys())
        assert done.came_back == 1
        assert [(one.place, one.role, one.after) for one in done.unredactable] == [("page", "named", 1)]
        assert [row["said"] for row in owner.execute("SELECT said FROM page ORDER BY id")] == [
            {"anna@example.org": 1},
            ["to [erased]"],
        ]
        assert any("in 1 rows of page an identifier cannot be replaced" in line for line in said)
        assert not any("anna" in line for line in said)


def test_a_replay_that_was_ended_midway_knows_the_names_the_next_time(
    bare_product: Product, tmp_path: Path
) -> None:
    with bare_product.owner() as owner, bare_product.eraser() as connection:
        owner.execute(CUSTOMERS)
        owner.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''no''; END';"
            "CREATE TRIGGER refused BEFORE DELETE ON ticket FOR EACH ROW EXECUTE FUNCTION refuse();"
        )
        data_map, of = map_of(tmp_path, CUSTOMER_MAP), customer_erased()
        keys = sealing_keys()
        with pytest.raises(CheckFailed, match="ticket"):
            replay.replay(connection, data_map, [of], keys=keys)
        assert owner.execute("SELECT id FROM customer").fetchall() == [{"id": 2}]
        owner.execute("DROP TRIGGER refused ON ticket")
        assert replay.replay(connection, data_map, [of], keys=keys).came_back == 1
        assert owner.execute("SELECT id FROM ticket").fetchall() == [{"id": 2}]
        assert connection.execute("SELECT FROM ops_platform.erasures").fetchall() == []
