"""Who the subject of a tombstone was: in the ledger before anything else says so, locked, and never less."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from ops_platform.clients.object_store import ObjectStore, StoredObject
from ops_platform.clients.object_store.object_lock import Retention
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.erasure.steps.base import RecordedErasure
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones import sealed_identities
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import Tombstone
from ops_platform_tests.gdpr.other_stores import sealing_keys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(days=80)
TOMBSTONE = Tombstone(SubjectKey("product", "creator", "7", "integer"), NOW, "r1", "m1", b"salt")


@dataclass
class Ledger:
    """A bucket with versions and, ``locking``, object lock; ``away``: the next writes that fail."""

    locking: bool = True
    away: int = 0
    held: list[tuple[str, bytes, datetime | None]] = field(default_factory=list)
    client: None = None

    def put(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> str:
        if self.away:
            self.away -= 1
            raise Unavailable("503")
        self.held.append((key, body, retain_until if self.locking else None))
        return str(len(self.held) - 1)

    def get(self, key: str, version_id: str) -> bytes:
        return self.held[int(version_id)][1]

    def versions(self, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key, len(body), NOW, "", str(number))
            for number, (key, body, _) in reversed([*enumerate(self.held)])
            if key.startswith(prefix)
        ]

    def retention(self, key: str, version_id: str) -> Retention | None:
        until = self.held[int(version_id)][2]
        return None if until is None else Retention("COMPLIANCE", until)

    def uri(self, key: str) -> str:
        return f"s3://ledger/{key}"


@dataclass
class Rows:
    """The table of sealed identities, and no other."""

    sealed: dict[str, bytes] = field(default_factory=dict)

    def execute(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        if query.startswith("INSERT"):
            self.sealed[values[0]] = values[1]
        return [{"request_id": name, "sealed": sealed} for name, sealed in self.sealed.items()]


@dataclass
class Scene:
    """An erasure whose stores are the two above; neither database has anything else of it."""

    rows: Rows
    ledger: Ledger
    keys: SealingKeys
    erasure: RecordedErasure

    def remembers(self, known: Inventory, until: datetime = UNTIL) -> None:
        self.erasure.inventory = known
        self.erasure.remember_identity(until)

    def in_ledger(self) -> Inventory | None:
        """What a replay without any database reads."""
        [found] = sealed_identities.attach_copies(cast(ObjectStore, self.ledger), self.keys, [TOMBSTONE])
        return None if found.identity is None else inventory.read(found.identity, self.keys, "r1")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Scene:
    keys, rows, ledger = sealing_keys(), Rows(), Ledger()
    erasure = RecordedErasure.__new__(RecordedErasure)
    erasure.ops, erasure.databases = cast(Connection, rows), ()
    erasure.context = cast(ErasureContext, _Context(keys, cast(ObjectStore, ledger)))
    erasure.case, erasure.tombstone = cast(Any, _Case()), TOMBSTONE
    monkeypatch.setattr(inventory, "find", lambda *_: None)
    return Scene(rows, ledger, keys, erasure)


@dataclass
class _Context:
    keys: SealingKeys
    ledger: ObjectStore


@dataclass
class _Case:
    request_id: str = "r1"


@pytest.fixture
def anna(demo_map: DataMap) -> Inventory:
    return inventory.take(demo_map, Identity({"id": 7, "email": "anna@example.org", "handle": "anna"}))


def test_an_attempt_after_one_that_could_not_write_to_the_ledger_writes_it(
    place: Scene, anna: Inventory
) -> None:
    place.ledger.away = 1
    with pytest.raises(Unavailable):
        place.remembers(anna)
    # As if the process had been killed: nothing may say that it is there.
    assert place.rows.sealed == {}
    place.remembers(anna)
    assert place.in_ledger() == anna
    place.remembers(anna)
    assert len(place.ledger.held) == 1


def test_a_row_without_its_copy_gets_it(place: Scene, anna: Inventory) -> None:
    """Versions before this one wrote the row first."""
    place.rows.sealed["r1"] = inventory.write(anna, place.keys, "r1")
    place.remembers(anna)
    assert place.in_ledger() == anna


def test_its_lock_is_extended_with_the_tombstones(place: Scene, anna: Inventory) -> None:
    place.remembers(anna)
    later = UNTIL + timedelta(days=9)
    place.remembers(anna, later)
    assert [until for _, _, until in place.ledger.held] == [
        UNTIL + timedelta(seconds=1),
        later + timedelta(seconds=1),
    ]


def test_a_copy_that_is_not_locked_is_refused(place: Scene, anna: Inventory) -> None:
    place.ledger.locking = False
    with pytest.raises(CheckFailed, match="is not locked"):
        place.remembers(anna)


def test_what_was_put_over_the_copy_hides_nothing(place: Scene, anna: Inventory) -> None:
    place.remembers(anna)
    key = place.ledger.held[0][0]
    place.ledger.put(key, b"forged")
    place.ledger.put(key, sealing_keys().seal(b"by a key that nobody has", "inventory of request r1"))
    assert place.in_ledger() == anna
    place.remembers(anna)
    assert len(place.ledger.held) == 3


def test_an_erasure_whose_databases_forgot_it_knows_what_its_tombstone_knows(
    place: Scene, anna: Inventory, demo_map: DataMap
) -> None:
    place.remembers(anna)
    assert place.erasure.stored("r1") == [anna]
    # By the key alone it would find less, and must not put that over what is known.
    place.remembers(inventory.take(demo_map, Identity({"id": 7})))
    found = place.in_ledger()
    assert found is not None
    assert found.identity == anna.identity
    assert found.objects == anna.objects
