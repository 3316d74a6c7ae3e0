"""Without an ops database: whatever ends an attempt, the next one knows as much, or says that it does not."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.erasure import command_line, unrecorded_id
from ops_platform.gdpr.erasure.command_line import UnrecordedErasure
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.erasure.steps import preflight
from ops_platform.gdpr.erasure.steps.base import ErasureState, Result, Step
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform_tests.gdpr.erasing import Product, map_of
from ops_platform_tests.gdpr.other_stores import sealing_keys
from ops_platform_tests.gdpr.single_erasures import erase_without_tombstone

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, email text);
CREATE TABLE ticket (id int PRIMARY KEY, email text, topic text);
CREATE TABLE note (id int PRIMARY KEY, body text);
CREATE INDEX ON ticket (email);
INSERT INTO customer SELECT n, 'person' || n || '@example.org' FROM generate_series(1, 40) AS n;
INSERT INTO ticket SELECT n, 'person' || (1 + n % 40) || '@example.org', 'x' FROM generate_series(1, 120) n;
INSERT INTO note VALUES (1, 'hello');
"""
MAP = """
subject: {kind: customer, table: customer, key: id, email: email}
tables:
  customer: {personal: [email], rows: [{role: account, column: id, erase: delete}]}
  ticket: {personal: [topic], plain: [id], rows: [{role: sender, column: email, holds: email, erase: delete}]}
  note: {plain: [id, body]}
"""
ACCEPTED = MAP + "accepted: [{place: note.body, because: Minutes that the law keeps.}]\n"
Log = Callable[[str], None]


@pytest.fixture
def shop(bare_product: Product) -> Product:
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
    return bare_product


def stores(product: Product, directory: Path, text: str = MAP, role: str = "ops_eraser") -> DataStores:
    url = product.cluster.url(role, product.name)
    return DataStores(map_of(directory, text), lambda: postgres.connect(url, autocommit=True), {}, None)


def erase(
    data: DataStores, number: int, log: Log = lambda line: None, keys: SealingKeys | None = None
) -> bool:
    return erase_without_tombstone(data, str(number), log, keys) is not None


def killed(work: Callable[[], object]) -> bool:
    """Run ``work`` in a process; whether a signal ended it."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def die(line: str = "") -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_the_customer(line: str) -> None:
    if line.startswith("customer:"):
        die()


def left(product: Product, number: int) -> list[object]:
    """What SQL by hand finds of a person: customers, tickets, notes, and what the platform keeps."""
    with product.owner() as owner, product.eraser() as eraser:
        row = owner.execute(
            """
            SELECT (SELECT count(*) FROM customer WHERE id = %(id)s) AS customers,
                   (SELECT count(*) FROM ticket WHERE email = %(email)s) AS tickets,
                   (SELECT count(*) FROM note WHERE body LIKE '%%' || %(email)s || '%%') AS notes
            """,
            {"id": number, "email": f"person{number}@example.org"},
        ).fetchone()
        kept = eraser.execute("SELECT count(*) AS n FROM ops_platform.erasures").fetchone()
    assert row is not None
    assert kept is not None
    return [*row.values(), kept["n"]]


def others(product: Product, number: int) -> list[object]:
    with product.owner() as owner:
        row = owner.execute(
            """
            SELECT (SELECT md5(string_agg(c::text, ';' ORDER BY id)) FROM customer AS c WHERE id <> %(id)s)
                       AS customers,
                   (SELECT md5(string_agg(t::text, ';' ORDER BY id)) FROM ticket t WHERE email <> %(email)s)
                       AS tickets
            """,
            {"id": number, "email": f"person{number}@example.org"},
        ).fetchone()
    assert row is not None
    return list(row.values())


def test_killed_before_the_rows_that_only_a_name_leads_to(shop: Product, tmp_path: Path) -> None:
    data, before = stores(shop, tmp_path), others(shop, 7)
    assert killed(lambda: erase(data, 7, die_after_the_customer))
    assert left(shop, 7) == [0, 3, 0, 1]
    assert erase(data, 7)
    assert left(shop, 7) == [0, 0, 0, 0]
    assert others(shop, 7) == before
    assert not erase(data, 7)


def test_a_timeout_midway(shop: Product, tmp_path: Path) -> None:
    data = stores(shop, tmp_path)
    with shop.owner() as owner:
        owner.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(2); RETURN OLD; END';"
            "CREATE TRIGGER slow BEFORE DELETE ON ticket FOR EACH ROW EXECUTE FUNCTION slow();"
        )
        owner.execute(f"ALTER DATABASE {shop.name} SET statement_timeout = '1s'")
    with pytest.raises(CheckFailed, match="ticket"):
        erase(data, 7)
    assert left(shop, 7) == [0, 3, 0, 1]
    with shop.owner() as owner:
        owner.execute("DROP TRIGGER slow ON ticket")
    assert erase(data, 7)
    assert left(shop, 7) == [0, 0, 0, 0]


def test_what_no_rule_covers_is_named_before_anything_is_destroyed(shop: Product, tmp_path: Path) -> None:
    data = stores(shop, tmp_path)
    with shop.owner() as owner:
        owner.execute("INSERT INTO note VALUES (2, 'call person7@example.org')")
    for _ in range(2):
        with pytest.raises(
            CheckFailed, match=r"note\.body \(1 rows; tables\.note\.rows: .*mentions: \[body\], erase: redact"
        ) as refused:
            erase(data, 7)
        assert "person7" not in str(refused.value)
        assert left(shop, 7) == [1, 3, 1, 0]
    said: list[str] = []
    assert erase(stores(shop, tmp_path, ACCEPTED), 7, said.append)
    assert left(shop, 7) == [0, 0, 1, 0]
    assert "accepted: the subject stays named in 1 rows of note.body" in said


def test_what_comes_while_it_runs_is_no_better_known_to_an_unchanged_attempt(
    shop: Product, tmp_path: Path
) -> None:
    data = stores(shop, tmp_path)

    def writes(line: str) -> None:
        if line.startswith("customer:"):
            with shop.owner() as owner:
                owner.execute("INSERT INTO note VALUES (2, 'call person7@example.org')")

    with pytest.raises(CheckFailed, match=r"note\.body \(1 rows\)"):
        erase(data, 7, writes)
    for _ in range(2):
        with pytest.raises(CheckFailed, match=r"note\.body \(1 rows;"):
            erase(data, 7)
    with shop.owner() as owner:
        owner.execute("DELETE FROM note WHERE id = 2")
    assert erase(data, 7)
    assert left(shop, 7) == [0, 0, 0, 0]


def test_a_role_that_may_not_read_a_table_begins_nothing(shop: Product, tmp_path: Path) -> None:
    with shop.owner() as owner:
        owner.execute(
            "INSERT INTO note VALUES (2, 'call person7@example.org');"
            "GRANT SELECT, DELETE ON customer, ticket TO ops_agent"
        )
    with shop.cluster.superuser(shop.name) as superuser:
        superuser.execute(f"GRANT CONNECT ON DATABASE {shop.name} TO ops_agent")
        superuser.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ops_platform.erasures, ops_platform.erasure_steps, "
            "ops_platform.erasure_salt TO ops_agent"
        )
        superuser.commit()
    data = stores(shop, tmp_path, role="ops_agent")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="note"):
            erase(data, 7)
        assert left(shop, 7) == [1, 3, 1, 0]


def test_an_attempt_that_knows_less_refuses(shop: Product, tmp_path: Path) -> None:
    data = stores(shop, tmp_path)
    assert killed(lambda: erase(data, 7, die_after_the_customer))
    with shop.eraser() as eraser:
        eraser.execute("UPDATE ops_platform.erasures SET identity = NULL")
    for _ in range(2):
        with pytest.raises(CheckFailed, match=r"an erasure has begun, .* known no more") as refused:
            erase(data, 7)
        with shop.eraser() as eraser:
            [row] = eraser.execute("SELECT erasure_id FROM ops_platform.erasures").fetchall()
        assert row["erasure_id"] not in str(refused.value)
        assert row["erasure_id"] != unrecorded_id.unsalted("customer", "7"), "anybody can guess it"
        assert left(shop, 7) == [0, 3, 0, 1]


def test_a_row_that_the_erasure_has_emptied_says_no_more_who_is_meant(shop: Product, tmp_path: Path) -> None:
    """As after an older version: the row stays because others refer to it, and its address is gone."""
    unless = "column: email, holds: email, erase: {delete_unless_referenced: {email: null}}"
    data = stores(
        shop,
        tmp_path,
        MAP.replace("column: id, erase: delete", unless).replace("{personal: [email]", "{plain: [id]"),
    )
    with shop.owner() as owner, shop.eraser() as eraser:
        owner.execute("CREATE INDEX ON customer (email); UPDATE customer SET email = NULL WHERE id = 7")
        Journal(eraser, unrecorded_id.unsalted("customer", "7")).open("m")
        for _ in range(2):
            with pytest.raises(CheckFailed, match="known no more"):
                erase(data, 7)
            assert left(shop, 7) == [1, 3, 0, 1]


def test_what_is_not_sealed_is_not_believed_where_there_is_a_key(shop: Product, tmp_path: Path) -> None:
    data, keys = stores(shop, tmp_path), sealing_keys()
    assert killed(lambda: erase(data, 7, die_after_the_customer))
    with pytest.raises(CheckFailed, match="is not sealed: if it was begun without OPS_GDPR_ENCRYPTION_KEY"):
        erase(data, 7, keys=keys)
    assert left(shop, 7) == [0, 3, 0, 1]
    assert erase(data, 7)
    assert left(shop, 7) == [0, 0, 0, 0]


def test_it_is_sealed_where_there_is_a_key_and_needs_it_again(shop: Product, tmp_path: Path) -> None:
    data, keys = stores(shop, tmp_path), sealing_keys()
    assert killed(lambda: erase(data, 7, die_after_the_customer, keys))
    with shop.eraser() as eraser:
        [row] = eraser.execute("SELECT identity FROM ops_platform.erasures").fetchall()
    assert b"person7" not in bytes(row["identity"])
    with pytest.raises(ConfigurationError, match="OPS_GDPR_ENCRYPTION_KEY"):
        erase(data, 7)
    with pytest.raises(ConfigurationError, match="does not hold the key"):
        erase(data, 7, keys=sealing_keys())
    assert left(shop, 7) == [0, 3, 0, 1]
    assert erase(data, 7, keys=keys)
    assert left(shop, 7) == [0, 0, 0, 0]


def test_an_account_that_the_product_deletes_during_the_search(
    shop: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name was known before, and leads to the tickets after it is gone."""
    before, search = others(shop, 7), preflight.refuse_uncovered

    def long(state: ErasureState, erasure: RowErasure) -> None:
        search(state, erasure)
        with shop.owner() as owner:
            owner.execute("DELETE FROM customer WHERE id = 7")

    monkeypatch.setattr(command_line, "refuse_uncovered", long)
    assert erase(stores(shop, tmp_path), 7)
    assert left(shop, 7) == [0, 0, 0, 0]
    assert others(shop, 7) == before


class Dies(Step[ErasureState]):
    name = "dies"

    def perform(self, state: ErasureState) -> Result:
        die()
        return Result()


@pytest.mark.full
def test_killed_before_and_after_each_step_nothing_is_left_where_it_says_erased(
    shop: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody for each moment, killed twice there; tickets that come meanwhile have the name alone."""
    data, steps = stores(shop, tmp_path), command_line.STEPS_WITHOUT_TOMBSTONE
    for number in range(len(steps) + 1):
        who = number + 1
        before = others(shop, who)
        dying: tuple[Step[UnrecordedErasure], ...] = (*steps[:number], Dies())
        for _ in range(2):
            monkeypatch.setattr(command_line, "STEPS_WITHOUT_TOMBSTONE", dying)
            assert killed(lambda who=who: erase(data, who)) or number == len(steps)  # type: ignore[misc]
            assert others(shop, who) == before
        monkeypatch.setattr(command_line, "STEPS_WITHOUT_TOMBSTONE", steps)
        assert erase(data, who) or number == len(steps)
        assert left(shop, who) == [0, 0, 0, 0]
        assert others(shop, who) == before
        assert not erase(data, who)
