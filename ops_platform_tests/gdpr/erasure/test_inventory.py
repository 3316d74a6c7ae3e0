"""Inventories: places from the map, sealed rows that survive a retry and nobody else reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map.model import DataMap, Objects
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.inventory import CachePlace, Inventory, ObjectPlace
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.gdpr.other_stores import sealing_keys
from ops_platform_tests.services import OpsDatabase

KEY = UUID("0f5b2c00-0000-4000-8000-000000000001")


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as connection:
        yield connection


def test_places_are_the_maps_with_the_subject_in_them(demo_map: DataMap) -> None:
    who = Identity({"id": KEY, "number": 7, "handle": "a*b[c]?"})
    taken = inventory.take(demo_map, who)
    assert taken.objects == (
        ObjectPlace("media", f"creators/{KEY}/", "creators/{id}/"),
        ObjectPlace("media", "avatars/7/", "avatars/{number}/"),
    )
    assert taken.cache == (
        CachePlace((f"creator:{KEY}:", ""), "creator:{id}:*"),
        CachePlace(("handle:a*b[c]?",), "handle:{handle}"),
    )


def test_what_the_subject_has_not_or_is_empty_is_nobodys_place(demo_map: DataMap) -> None:
    taken = inventory.take(demo_map, Identity({"id": KEY, "handle": ""}))
    assert [one.template for one in taken.objects] == ["creators/{id}/"]
    assert [one.template for one in taken.cache] == ["creator:{id}:*"]


def test_places_that_the_map_gives_to_somebody_else_now_are_told_apart(demo_map: DataMap) -> None:
    until = datetime(2026, 1, 2, tzinfo=UTC)
    by_name = replace(demo_map, objects=(Objects("media", "pages/{handle}/", "x", False), *demo_map.objects))
    taken = inventory.take(by_name, Identity({"id": KEY, "handle": "anna"}))
    another = Identity({"id": uuid4(), "handle": "anna"})
    found = inventory.mark_reused(taken, [another], until)
    assert [(one.prefix, one.until) for one in found.objects] == [
        ("pages/anna/", datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)),
        (f"creators/{KEY}/", None),
    ]
    assert [(one.template, one.shared) for one in found.cache] == [
        ("creator:{id}:*", False),
        ("handle:{handle}", True),
    ]
    assert inventory.mark_reused(taken, [Identity({"id": uuid4(), "handle": "ben"})], until) == taken


@pytest.mark.services
class TestKept:
    def test_it_comes_back_as_it_was_with_its_types(self, ops: Connection, demo_map: DataMap) -> None:
        who = Identity(
            {
                "id": uuid4(),
                "number": 2**40,
                "handle": "Zoë \\ \"'",
                "born": date(1990, 2, 3),
                "since": datetime(2020, 1, 2, 3, 4, 5, 6, UTC),
                "share": Decimal("1.50"),
                "vip": True,
            },
            {"phones.number": ("+33 1", "+33 2"), "accounts.no": (7, 8)},
        )
        keys, taken = sealing_keys(), inventory.take(demo_map, who)
        assert inventory.find(ops, keys, "r1") is None
        assert inventory.keep(ops, keys, "r1", taken) == taken
        found = inventory.find(ops, keys, "r1")
        assert found == taken
        assert [type(value) for value in found.identity.values.values()] == [
            type(value) for value in who.values.values()
        ]
        inventory.forget(ops, "r1")
        assert inventory.find(ops, keys, "r1") is None

    def test_a_retry_after_the_rows_are_gone_keeps_who_it_was(
        self, ops: Connection, demo_map: DataMap
    ) -> None:
        keys = sealing_keys()
        first = inventory.take(demo_map, Identity({"id": KEY, "handle": "anna"}))
        inventory.keep(ops, keys, "r1", first)
        newer = Inventory(
            "m2", Identity({"id": KEY}), (ObjectPlace("media", f"new/{KEY}/", "new/{id}/"),), ()
        )
        merged = inventory.keep(ops, keys, "r1", newer)
        assert merged.identity == first.identity
        assert merged.map_version == "m2"
        assert merged.objects == (*first.objects, *newer.objects)
        assert merged.cache == first.cache
        assert inventory.find(ops, keys, "r1") == merged

    def test_identifiers_of_side_tables_are_those_of_every_look(
        self, ops: Connection, demo_map: DataMap
    ) -> None:
        keys, row = sealing_keys(), {"id": KEY, "handle": "anna"}
        first = inventory.take(demo_map, Identity(row, {"phones.number": ("+33 2", "+33 3")}))
        inventory.keep(ops, keys, "r1", first)
        newer = inventory.take(demo_map, Identity(row, {"phones.number": ("+33 1", "+33 2")}))
        merged = inventory.keep(ops, keys, "r1", newer)
        assert merged.identity.of("phones.number") == ("+33 1", "+33 2", "+33 3")
        assert merged.later_identities == ()
        assert inventory.keep(ops, keys, "r1", inventory.take(demo_map, Identity(row))) == merged
        assert inventory.find(ops, keys, "r1") == merged

    def test_what_an_older_version_sealed_is_read(self, ops: Connection) -> None:
        keys, name = sealing_keys(), "inventory of request r1"
        names = [{"id": ["uuid", str(KEY)]}]
        old = {"format": 1, "map_version": "m", "names": names, "objects": [], "cache": []}
        ops.execute(
            "INSERT INTO gdpr_inventories (request_id, sealed, key_id) VALUES ('r1', %s, %s)",
            (keys.seal(json.dumps(old).encode(), name), keys.key_id),
        )
        assert inventory.find(ops, keys, "r1") == Inventory("m", Identity({"id": KEY}), (), ())

    def test_since_when_a_name_may_be_another_persons_is_what_the_first_look_knew(
        self, ops: Connection, demo_map: DataMap
    ) -> None:
        keys = sealing_keys()
        taken = inventory.take(demo_map, Identity({"id": KEY, "handle": "anna"}))
        first, later = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
        assert inventory.keep(ops, keys, "r1", replace(taken, until=first)).until == first
        assert inventory.keep(ops, keys, "r1", replace(taken, until=later)).until == first
        unsure = replace(taken, until=datetime(2026, 1, 1, tzinfo=UTC))
        assert inventory.keep(ops, keys, "r1", unsure, sure=False).until == first
        found = inventory.find(ops, keys, "r1")
        assert found is not None
        assert found.until == first

    def test_nothing_of_the_subject_can_be_read_in_the_table(
        self, ops: Connection, demo_map: DataMap
    ) -> None:
        keys, taken = sealing_keys(), inventory.take(demo_map, Identity({"id": KEY, "handle": "anna"}))
        inventory.keep(ops, keys, "r1", taken)
        row = ops.execute("SELECT sealed, key_id FROM gdpr_inventories").fetchone()
        assert row is not None
        assert row["key_id"] == keys.key_id
        assert str(KEY).encode() not in bytes(row["sealed"])
        assert b"anna" not in bytes(row["sealed"])
        with pytest.raises(ConfigurationError):
            inventory.find(ops, sealing_keys(), "r1")
        ops.execute("UPDATE gdpr_inventories SET request_id = 'r2'")
        with pytest.raises(CheckFailed, match="inventory of request r2"):
            inventory.find(ops, keys, "r2")

    def test_a_text_that_is_not_sealed_names_nobody(self, ops: Connection, demo_map: DataMap) -> None:
        keys, other = (
            sealing_keys(),
            inventory.take(demo_map, Identity({"id": KEY, "email": "b@example.org"})),
        )
        inventory.keep(ops, keys, "r1", inventory.take(demo_map, Identity({"id": KEY})))
        ops.execute("UPDATE gdpr_inventories SET sealed = %s", (inventory.write(other, None, "r1"),))
        with pytest.raises(CheckFailed, match="is not sealed") as refused:
            inventory.find(ops, keys, "r1")
        assert "example.org" not in str(refused.value)

    def test_an_identifier_that_cannot_be_kept_is_said_before_anything_is_destroyed(
        self, ops: Connection, demo_map: DataMap
    ) -> None:
        taken = replace(inventory.take(demo_map, Identity({"id": KEY})), identity=Identity({"id": b"\x00"}))
        with pytest.raises(CheckFailed, match="another column for identifiers"):
            inventory.keep(ops, sealing_keys(), "r1", taken)
