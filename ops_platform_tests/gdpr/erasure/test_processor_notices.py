"""Letters to processors in a real outbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import DataMap, KnownBy, Processor
from ops_platform.gdpr.erasure import inventory, processor_answers
from ops_platform.gdpr.erasure import processor_notices as processors
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def taken(demo_map: DataMap) -> Inventory:
    return inventory.take(demo_map, Identity({"id": uuid4(), "handle": "anna", "email": "anna@example.org"}))


def letters(ops_database: OpsDatabase) -> list[tuple[object, ...]]:
    with ops_database.superuser() as superuser:
        return superuser.execute(
            "SELECT recipient, subject, body FROM mail_outbox "
            "WHERE dedup_key LIKE 'gdpr-processor:%' ORDER BY id"
        ).fetchall()


def settle(ops_database: OpsDatabase, column: str) -> None:
    """The newest letter leaves the outbox, one way or the other."""
    with ops_database.superuser() as superuser:
        superuser.execute(
            f"UPDATE mail_outbox SET {column} = now(), recipient = NULL, subject = NULL, body = NULL "
            "WHERE id = (SELECT max(id) FROM mail_outbox)"
        )


def test_one_letter_says_whom_by_the_address_alone(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    [effect] = processors.write(ops, demo_map, taken, "r1", NOW)
    assert (effect.store, effect.place, effect.changed, effect.after) == (
        "processor",
        "Newsletter service",
        0,
        1,
    )
    processors.write(ops, demo_map, taken, "r1", NOW)
    [(recipient, subject, body)] = letters(ops_database)
    assert recipient == "privacy@newsletter.example"
    assert "r1" in str(subject)
    assert "anna" not in str(subject)
    assert "email: anna@example.org" in str(body)
    assert "handle" not in str(body), "what they need and no more"
    assert str(taken.identity.values["id"]) not in str(body)


def test_a_letter_names_every_address_that_a_processor_may_know(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    tables = {
        name: KnownBy(Name("public", name), column) for name, column in (("emails", "at"), ("phones", "no"))
    }
    known_by = {
        tables["emails"].name: ("anna@second.example",),
        tables["phones"].name: ("+33 1 23 45 67 89",),
    }
    told = replace(demo_map, subject=replace(demo_map.subject, known_by=tuple(tables.values())))
    processors.write(
        ops, told, replace(taken, identity=replace(taken.identity, known_by=known_by)), "r1", NOW
    )
    [(_, _, body)] = letters(ops_database)
    assert "email: anna@example.org\n  email: anna@second.example\n" in str(body)
    assert "+33" not in str(body), "what they need and no more"


def test_it_counts_when_it_has_left_and_is_not_written_again(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    processors.write(ops, demo_map, taken, "r1", NOW)
    assert len(processors.remaining(ops, demo_map, "r1")) == 1
    settle(ops_database, "sent_at")
    assert processors.remaining(ops, demo_map, "r1") == []
    [effect] = processors.write(ops, demo_map, taken, "r1", NOW)
    assert (effect.changed, effect.after) == (1, 0)
    assert len(letters(ops_database)) == 1


def test_one_that_was_given_up_is_written_again(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    processors.write(ops, demo_map, taken, "r1", NOW)
    settle(ops_database, "given_up_at")
    [effect] = processors.write(ops, demo_map, taken, "r1", NOW)
    assert effect.after == 1
    assert len(letters(ops_database)) == 2
    settle(ops_database, "sent_at")
    assert processors.remaining(ops, demo_map, "r1") == []


def test_processors_whose_names_begin_alike_are_told_apart(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    names = ("Mail", "Mail:1", "Mail:1:x")
    told = replace(demo_map, processors=tuple(Processor(one, "", "privacy@mail.example") for one in names))
    assert len(processors.write(ops, told, taken, "r1", NOW)) == 3
    assert len(letters(ops_database)) == 3
    processors.write(ops, told, taken, "r1", NOW)
    assert len(letters(ops_database)) == 3


def test_a_processor_may_be_called_what_a_pattern_means(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    names = ("a_", "a%", "a\\", "a\\%")
    told = replace(demo_map, processors=tuple(Processor(one, "", "privacy@mail.example") for one in names))
    for _ in range(2):
        processors.write(ops, told, taken, "r1", NOW)
    assert len(letters(ops_database)) == len(names)


def test_requests_whose_ids_begin_alike_are_told_apart(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    processors.write(ops, demo_map, taken, "r1", NOW)
    settle(ops_database, "sent_at")
    assert len(processors.remaining(ops, demo_map, "r")) == 1
    assert len(processors.remaining(ops, demo_map, "r11")) == 1


def test_only_who_was_told_can_have_answered_and_not_before(
    ops: Connection, ops_database: OpsDatabase, demo_map: DataMap, taken: Inventory
) -> None:
    """An answer stays for ever, and goes onto the certificate."""
    name, now = "Newsletter service", datetime.now(UTC) + timedelta(minutes=1)

    def record(at: datetime) -> bool:
        return processor_answers.record(ops, "r1", name, at, "somebody", now)

    def note() -> None:
        effects = processors.effects(ops, demo_map, "r1")
        lineage_store.record(ops, "r1", "processors", effects, run_id=None, map_version="m1")

    processors.write(ops, demo_map, taken, "r1", NOW)
    note()
    with pytest.raises(CheckFailed, match="told were: nobody"):
        record(now)
    settle(ops_database, "sent_at")
    for at in (now - timedelta(hours=1), now + timedelta(seconds=1)):
        with pytest.raises(CheckFailed, match="cannot have answered before, or in the future"):
            record(at)
    note()
    # Lineage knows longer than the outbox that the letter has left.
    with ops_database.superuser() as superuser:
        superuser.execute("DELETE FROM mail_outbox")
    with pytest.raises(CheckFailed, match="cannot have answered before"):
        record(now - timedelta(hours=1))
    assert record(now)
    assert not record(now)
    assert processor_answers.times(ops, "r1") == {name: now}
